"""Users and tokens over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import PASSWORD, RUN


def test_sign_up_log_in_and_see_oneself(get, user, token: str) -> None:
    me = get("/api/v1/users/me", Authorization=f"Bearer {token}")
    assert (me.status, me.json["email"]) == (200, user["email"])
    assert me.headers["Cache-Control"] == "no-store"
    assert get(user["location"], Authorization=f"Bearer {token}").json == me.json


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic dTpw", "Bearer \xff"])
def test_without_a_token_it_is_401_and_says_how(get, authorization: str) -> None:
    answer = get("/api/v1/users/me", Authorization=authorization)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_others_are_out_of_sight(get, token: str) -> None:
    assert get("/api/v1/users/999999", Authorization=f"Bearer {token}").status == 403


def test_a_wrong_password_is_not_told_from_an_unknown_address(post, user) -> None:
    wrong = post("/api/v1/auth/tokens", {"email": user["email"], "password": "wrong"})
    unknown = post("/api/v1/auth/tokens", {"email": "nobody@example.org", "password": PASSWORD})
    assert wrong.status == unknown.status == 401
    assert wrong.body == unknown.body


def test_of_many_at_once_one_gets_the_address(post) -> None:
    def sign_up(number: int) -> int:
        user = {"email": f"race-{RUN}@example.org", "name": str(number), "password": PASSWORD}
        return post("/api/v1/users", user).status

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(sign_up, range(8))) == [201, *[409] * 7]


def test_many_may_log_in_at_once(post, user) -> None:
    """Each reads, works and then writes: on SQLite the writers must wait for one another, not fail."""

    def log_in(number: int) -> int:
        return post("/api/v1/auth/tokens", {"email": user["email"], "password": PASSWORD}).status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(log_in, range(16))) == {201}
