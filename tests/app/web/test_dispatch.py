import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import svcs
from limits.storage import MemoryStorage
from pydantic import Field
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from app.components import open_session
from app.database.engine import make_engine
from app.database.failures import is_passing
from app.database.session import Session
from app.database.target import Target
from app.errors import Conflict, NotAllowed, NotAuthenticated
from app.geolocation.tables import countries
from app.logs.context import request_context, user_id
from app.scopes import Scope
from app.web.dispatch import dispatch
from app.web.limits import Rate, RateLimits
from app.web.messages import Request
from app.web.problems import BadRequest
from app.web.routes import (
    Authenticator,
    BodyInput,
    Call,
    Content,
    Input,
    NoInput,
    NoOutput,
    Output,
    Permission,
    Principal,
    Route,
)

GET = Request()
POST = Request(method="POST", headers={"content-type": "application/json; charset=utf-8"}, body=b"{}")


class Number(Input):
    number: int = Field(ge=0)
    word: str = "none"


class BodyNumber(BodyInput):
    number: int


class Echo(Output):
    number: int


class Somebody:
    id = 7

    def __init__(self, *, admin: bool) -> None:
        self.admin = admin


class SomeTokens:
    """`read-write` is a user's token of these scopes; `read-admin!` an admin's."""

    def authenticate(self, token: str, scope: Scope) -> Principal:
        if not token.startswith(("read", "write", "admin")):
            raise NotAuthenticated("wrong token")
        if scope not in token.rstrip("!").split("-"):
            raise NotAllowed("not for this")
        return Somebody(admin=token.endswith("!"))


class Resource:
    """A component of the request that knows whether it was closed."""

    closed = False


@pytest.fixture(autouse=True)
def _inside_a_request() -> Iterator[None]:
    """Dispatch marks log lines with the user: leave the marks of each test with it."""
    with request_context("test"):
        yield


@pytest.fixture
def resources() -> list[Resource]:
    return []


@pytest.fixture
def components(resources: list[Resource]) -> svcs.Registry:
    def open_resource():
        resources.append(Resource())
        yield resources[-1]
        resources[-1].closed = True

    registry = svcs.Registry()
    registry.register_factory(Resource, open_resource)
    registry.register_value(Authenticator, SomeTokens())
    registry.register_value(RateLimits, RateLimits({"few": Rate(1, 86400)}, MemoryStorage))
    return registry


def echo(call: Call[Any]) -> Echo:
    call.get(Resource)
    return Echo(number=call.input.number)


def route(**changes: Any) -> Route[Any]:
    plain = Route("GET", "/n/{number}", "n", "Echo", Permission.PUBLIC, Number, Echo, echo)
    return replace(plain, **changes)


def failing(error: Exception) -> Callable[[Call[Any]], Echo]:
    def endpoint(call: Call[Any]) -> Echo:
        call.get(Resource)
        raise error

    return endpoint


def test_input_comes_from_path_and_query(components: svcs.Registry) -> None:
    response = dispatch(route(), replace(GET, path={"number": "3"}), components)
    assert (response.status, json.loads(response.body)) == (200, {"number": 3})


def test_the_path_wins_over_the_query(components: svcs.Registry) -> None:
    request = replace(GET, path={"number": "3"}, query={"number": ["4"]})
    assert json.loads(dispatch(route(), request, components).body) == {"number": 3}


def test_every_fault_of_parameters_is_listed(components: svcs.Registry) -> None:
    request = replace(GET, query={"number": ["-1"], "word": ["a", "b"]})
    content = json.loads(dispatch(route(), request, components).body)
    assert content["status"] == 422
    assert [fault["parameter"] for fault in content["errors"]] == ["number", "word"]


def test_every_fault_of_a_body_is_pointed_at(components: svcs.Registry) -> None:
    posting = route(method="POST", input=BodyNumber, path="/n")
    content = json.loads(dispatch(posting, replace(POST, body=b'{"numbr": 1}'), components).body)
    assert [fault["pointer"] for fault in content["errors"]] == ["#/number", "#/numbr"]


def test_what_was_created_has_an_address(components: svcs.Registry) -> None:
    creating = route(method="POST", input=BodyNumber, path="/n", status=201, location=lambda made: f"/n/{made.number}")
    response = dispatch(creating, replace(POST, body=b'{"number": 5}'), components)
    assert (response.status, response.headers["Location"]) == (201, "/n/5")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("read", 401),
        ("Basic read", 401),
        ("Bearer wrong", 401),
        ("Bearer read", 200),
        ("bearer read ", 200),
    ],
)
def test_only_those_signed_in_get_in(components: svcs.Registry, authorization: str, status: int) -> None:
    request = replace(GET, path={"number": "1"}, headers={"authorization": authorization})
    assert dispatch(route(permission=Permission.SIGNED_IN), request, components).status == status


@pytest.mark.parametrize(
    ("method", "permission", "token", "status"),
    [
        ("GET", Permission.SIGNED_IN, "read", 200),
        ("GET", Permission.SIGNED_IN, "write-admin", 403),
        ("POST", Permission.SIGNED_IN, "write", 200),
        ("POST", Permission.SIGNED_IN, "read", 403),
        ("DELETE", Permission.SIGNED_IN, "read", 403),
        ("GET", Permission.ADMIN, "admin!", 200),
        ("GET", Permission.ADMIN, "read-write!", 403),
        ("GET", Permission.ADMIN, "read-write-admin", 403),
        ("POST", Permission.ADMIN, "admin!", 200),
    ],
)
def test_a_token_must_be_for_it_and_its_owner_may_have_to_be_an_admin(
    components: svcs.Registry, method: str, permission: Permission, token: str, status: int
) -> None:
    headers = {**POST.headers, "authorization": f"Bearer {token}"}
    request = replace(POST, path={"number": "1"}, body=b'{"number": 1}', headers=headers)
    guarded = route(method=method, permission=permission)
    assert dispatch(guarded, request, components).status == status


def test_log_lines_know_who_is_signed_in(components: svcs.Registry) -> None:
    request = replace(GET, path={"number": "1"}, headers={"authorization": "Bearer read"})
    dispatch(route(permission=Permission.SIGNED_IN), request, components)
    assert user_id.get() == 7


def test_authentication_comes_before_validation(components: svcs.Registry) -> None:
    assert dispatch(route(permission=Permission.SIGNED_IN), GET, components).status == 401


@pytest.mark.parametrize("error", [Conflict("no"), BadRequest(400, "no"), RuntimeError("bug")])
def test_components_are_closed_whatever_happens(
    components: svcs.Registry, resources: list[Resource], error: Exception
) -> None:
    request = replace(GET, path={"number": "1"})
    try:
        dispatch(route(endpoint=failing(error)), request, components)
    except RuntimeError as raised:
        assert raised is error  # noqa: PT017 - a bug goes through, the others don't
    else:
        assert not isinstance(error, RuntimeError)
    assert [resource.closed for resource in resources] == [True]


def test_nothing_to_say_is_204_without_a_body(components: svcs.Registry) -> None:
    nothing = route(method="DELETE", status=204, output=NoOutput, endpoint=lambda call: NoOutput())
    response = dispatch(nothing, replace(GET, method="DELETE", path={"number": "1"}), components)
    assert (response.status, response.body, response.content_type) == (204, b"", "")


def test_an_endpoint_may_answer_in_another_form(components: svcs.Registry) -> None:
    made = Content(b"a,b\r\n", "text/csv", filename="m\xfcll\r\n.csv", headers={"X-Rows": "1"})
    response = dispatch(route(media_types=("text/csv",), input=NoInput, endpoint=lambda call: made), GET, components)
    assert (response.content_type, response.body, response.headers["X-Rows"]) == ("text/csv", b"a,b\r\n", "1")
    assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''m%C3%BCll%0D%0A.csv"


def test_a_form_that_the_route_does_not_name_is_a_mistake(components: svcs.Registry) -> None:
    with pytest.raises(TypeError, match="text/csv"):
        dispatch(route(input=NoInput, endpoint=lambda call: Content(b"", "text/csv")), GET, components)


def test_a_body_that_is_no_json_arrives_as_it_is(components: svcs.Registry) -> None:
    def count(call: Call[Number]) -> Echo:
        assert call.upload.media_type == "text/csv"
        return Echo(number=len(call.upload.body) + call.input.number)

    taking = route(method="POST", path="/n", uploads=("text/csv",), endpoint=count)
    sent = Request(
        method="POST", query={"number": ["1"]}, body=b"a,b", headers={"content-type": "text/csv; header=present"}
    )
    assert json.loads(dispatch(taking, sent, components).body) == {"number": 4}
    refused = replace(sent, headers={"content-type": "application/json"})
    assert dispatch(taking, refused, components).status == 415


def test_a_body_without_members_need_not_be_sent(components: svcs.Registry) -> None:
    doing = route(method="POST")
    assert (
        dispatch(doing, Request(method="POST", path={"number": "2"}, query={"word": ["x"]}), components).status == 415
    )
    nothing_to_send = route(method="POST", input=NoInput, endpoint=lambda call: Echo(number=1))
    assert dispatch(nothing_to_send, Request(method="POST"), components).status == 200


def test_what_was_read_before_is_not_sent_again(components: svcs.Registry) -> None:
    first = dispatch(route(), replace(GET, path={"number": "3"}), components)
    again = replace(GET, path={"number": "3"}, headers={"if-none-match": first.headers["ETag"]})
    assert dispatch(route(), again, components).status == 304


def test_every_answer_says_where_one_stands_and_too_many_are_refused(components: svcs.Registry) -> None:
    limited = route(limit="few")
    first, second = (dispatch(limited, replace(GET, path={"number": word}), components) for word in ("x", "1"))
    assert (first.status, first.headers["RateLimit"].partition(";t=")[0]) == (422, '"few";r=0')
    assert (second.status, json.loads(second.body)["violated-policies"]) == (429, ["few"])
    assert "RateLimit" not in dispatch(route(), replace(GET, path={"number": "1"}), components).headers


KILL = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
    "mariadb": ("SELECT connection_id()", "KILL {}"),
}


@pytest.mark.parametrize("database", KILL)
class TestTheDatabaseGivesUp:
    """With a real server: what others did, or what became of the connection, is tried once more where that is safe."""

    @pytest.fixture
    def given(self, engine: Engine, components: svcs.Registry) -> svcs.Registry:
        components.register_value(Engine, engine)
        components.register_factory(Session, open_session)
        with engine.begin() as connection:
            connection.execute(insert(countries), [{"code": "FR", "name": "0"}, {"code": "PT", "name": "0"}])
        return components

    @staticmethod
    def changes(codes: str, meanwhile: Callable[[Session], None], *, commit: bool) -> Callable[[Call[Any]], NoOutput]:
        """Add one to the names of two rows; ``meanwhile`` is called once, after the first."""
        tried: list[str] = []

        def endpoint(call: Call[Any]) -> NoOutput:
            session = call.get(Session)
            tried.append(codes)
            for code in codes.split():
                row = countries.c.code == code
                (before,) = session.execute(select(countries.c.name).where(row).with_for_update()).one()
                session.execute(update(countries).where(row).values(name=str(int(before) + 1)))
                if len(tried) == 1 and code == codes.split()[0]:
                    if commit:
                        session.commit()
                    meanwhile(session)
            session.commit()
            return NoOutput()

        return endpoint

    @staticmethod
    def names(engine: Engine) -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(select(countries.c.name).order_by(countries.c.code)).scalars())

    def test_of_two_that_wait_for_each_other_both_are_done(self, given: svcs.Registry, engine: Engine) -> None:
        together = threading.Barrier(2)

        def both(codes: str) -> int:
            endpoint = self.changes(codes, lambda session: together.wait(30) and None, commit=False)
            return dispatch(route(method="POST", input=NoInput, path="/n", endpoint=endpoint), POST, given).status

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(both, ["FR PT", "PT FR"])) == [200, 200]
        assert self.names(engine) == ["2", "2"]

    def kill(self, database: str, target: Target) -> Callable[[Session], None]:
        who, kill = KILL[database]

        def act(session: Session) -> None:
            number = session.reader.execute(text(who)).scalar_one()
            other = make_engine(target)
            with other.connect() as connection:
                connection.execute(text(kill.format(number)))
            other.dispose()

        return act

    def test_a_connection_that_is_lost_is_no_matter(
        self, given: svcs.Registry, engine: Engine, target: Target, database: str
    ) -> None:
        endpoint = self.changes("FR PT", self.kill(database, target), commit=False)
        assert dispatch(route(method="POST", input=NoInput, endpoint=endpoint), POST, given).status == 200
        assert self.names(engine) == ["1", "1"]

    def test_what_has_lasted_in_part_is_not_done_twice(
        self, given: svcs.Registry, engine: Engine, target: Target, database: str
    ) -> None:
        endpoint = self.changes("FR PT", self.kill(database, target), commit=True)
        with pytest.raises(DBAPIError) as caught:
            dispatch(route(method="POST", input=NoInput, endpoint=endpoint), POST, given)
        assert is_passing(caught.value), "middleware.errors answers 503"
        assert self.names(engine) == ["1", "0"]
