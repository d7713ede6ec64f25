import pytest
import svcs

from app.errors import NotAuthenticated
from app.routes import ROUTES
from app.web.routes import Call, NoInput, Permission, one_line


@pytest.mark.parametrize("text", ["", "Ana Müller", "東京", "a b  c", "\U0001f468\u200d\U0001f469"])
def test_what_people_are_called_is_a_line(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "\x1b[31m", "\x7f", "\x85"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        one_line(text)


class Somebody:
    id = 1
    admin = False


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_complete(route) -> None:
    assert isinstance(route.permission, Permission)
    assert route.summary
    assert route.path_parameters <= set(route.input.model_fields)
    assert not (route.uploads and not route.has_body)
    assert route.location is None or route.status in {201, 202}


def test_names_and_addresses_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_where_input_comes_from_follows_from_the_method() -> None:
    assert {route.method for route in ROUTES if route.has_body} == {"POST", "PUT", "PATCH"}


def test_a_call_gives_components_and_the_caller(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        call = Call(NoInput(), components, Somebody())
        assert call.signed_in(Somebody).id == 1
        with pytest.raises(NotAuthenticated):
            Call(NoInput(), components, None).signed_in(Somebody)
