import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Stale
from app.web.conditional import conditional, entity_tag, version_tag, wanted_version
from app.web.messages import Request, Response
from app.web.problems import BadRequest

FOUND = Response(200, b"{}", headers={"Cache-Control": "no-cache", "Location": "/x", "Vary": "Accept"})
TAG = entity_tag(b"{}")


@given(st.binary(), st.binary())
def test_only_the_same_bytes_have_the_same_tag(one: bytes, other: bytes) -> None:
    assert (entity_tag(one) == entity_tag(other)) == (one == other)
    assert entity_tag(one).strip('"').isalnum()


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"x", {TAG}', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_it_gets_no_body(known: str, method: str) -> None:
    answered = conditional(Request(method=method, headers={"if-none-match": known}), FOUND)
    assert (answered.status, answered.body, answered.content_type) == (304, b"", "")
    assert answered.headers == {"Cache-Control": "no-cache", "Vary": "Accept", "ETag": TAG}


@pytest.mark.parametrize("known", ["", '"x"', TAG.strip('"')])
def test_who_has_another_one_gets_it_with_its_tag(known: str) -> None:
    answered = conditional(Request(headers={"if-none-match": known}), FOUND)
    assert (answered.status, answered.body, answered.headers["ETag"]) == (200, b"{}", TAG)


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 404), ("GET", 204)])
def test_only_what_was_read_has_a_tag(method: str, status: int) -> None:
    answered = Response(status, b"{}")
    assert conditional(Request(method=method, headers={"if-none-match": "*"}), answered) is answered


def test_a_tag_of_the_endpoints_own_is_kept() -> None:
    own = Response(200, b"{}", headers={"ETag": '"7"'})
    assert conditional(Request(headers={"if-none-match": '"7"'}), own).status == 304


@pytest.mark.parametrize(
    ("if_match", "version"),
    [('"3"', 3), ('W/"3-17"', 3), ('"3-17", "3-18"', 3), ("*", None), (' "3" , *', None), (version_tag(12, 5, 6), 12)],
)
def test_a_change_is_meant_for_a_version(if_match: str, version: int | None) -> None:
    assert wanted_version(if_match) == version


@pytest.mark.parametrize("if_match", ['"x"', '"3", "4"', '""', '"-1"', '"\u0663"', f'"{"9" * 5000}"'])
def test_what_is_no_tag_of_ours_matches_nothing(if_match: str) -> None:
    with pytest.raises(Stale):
        wanted_version(if_match)


@pytest.mark.parametrize("if_match", ["", " , "])
def test_a_change_has_to_say_for_which_version(if_match: str) -> None:
    with pytest.raises(BadRequest) as caught:
        wanted_version(if_match)
    assert caught.value.status == 428
