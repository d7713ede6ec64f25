"""Users and tokens over HTTP."""

import secrets
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


def test_of_many_at_once_one_gets_the_address(post, inbox) -> None:
    email = f"race-{secrets.token_hex(4)}-{RUN}@example.org"
    links = []
    for number in range(5):
        post("/api/v1/auth/sign-ups", {"email": email, "name": str(number), "password": PASSWORD})
        links.append(inbox.link(email, "verify"))

    def verify(link: str) -> int:
        return post("/api/v1/auth/verifications", {"token": link}).status

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(verify, links)) == [201, *[409] * 4]


def test_of_many_at_once_one_uses_a_link(post, user, inbox) -> None:
    email = str(user["email"])
    post("/api/v1/auth/password-resets", {"email": email})
    content = {"token": inbox.link(email, "reset"), "password": "another horse battery"}

    def reset(number: int) -> int:
        return post("/api/v1/auth/password-resets/confirm", content).status

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(reset, range(5))) == [204, *[404] * 4]


def test_whether_an_address_has_an_account_is_told_to_nobody_but_its_owner(post, user, inbox) -> None:
    unknown = f"unknown-{secrets.token_hex(4)}-{RUN}@example.org"
    for path, more in (("sign-ups", {"name": "Me", "password": PASSWORD}), ("password-resets", {})):
        answers = [post(f"/api/v1/auth/{path}", {"email": email, **more}) for email in (user["email"], unknown)]
        assert {answer.status for answer in answers} == {202}
        assert answers[0].body == answers[1].body
        told = [inbox.to(email)["Subject"] for email in (user["email"], unknown)]
        assert told[0] != told[1]


def test_many_may_log_in_at_once(post, user) -> None:
    """Each reads, works and then writes: on SQLite the writers must wait for one another, not fail."""

    def log_in(number: int) -> int:
        return post("/api/v1/auth/tokens", {"email": user["email"], "password": PASSWORD}).status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(log_in, range(16))) == {201}
