"""With the real use cases on real databases: what matters is what happens when two come at once, or one dies."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import svcs
from sqlalchemy import Engine, func, insert, select, update

from app.database.session import Session
from app.errors import Conflict, NotAuthenticated
from app.geolocation.tables import countries
from app.idempotency.services import Answers
from app.idempotency.tables import kept_answers
from app.logs.context import request_context
from app.scopes import Scope
from app.users.tables import users
from app.web.dispatch import dispatch
from app.web.idempotency import KeptAnswers, fingerprint, key_digest
from app.web.messages import Request, Response
from app.web.problems import BadRequest
from app.web.routes import Authenticator, BodyInput, Call, Output, Permission, Principal, Route
from tests.support.postgres import DATABASES


class Code(BodyInput):
    code: str


class Made(Output):
    number: int


class Somebody:
    def __init__(self, number: int) -> None:
        self.id = number
        self.admin = False


class Numbers:
    def authenticate(self, token: str, scope: Scope) -> Principal:
        if not token.isdigit():
            raise NotAuthenticated("wrong token")
        return Somebody(int(token))


def make(call: Call[Code]) -> Made:
    """A use case: writes a row, and commits."""
    session = call.get(Session)
    session.execute(insert(countries).values(code=call.input.code, name="x"))
    number = session.execute(select(func.count()).select_from(countries)).scalar_one()
    session.commit()
    return Made(number=number)


ROUTE: Route[Any] = Route(
    "POST", "/x", "x", "X", Permission.SIGNED_IN, Code, Made, make, 201, lambda made: "/x/1", idempotent=True
)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ready(registry: svcs.Registry, engine: Engine) -> svcs.Registry:
    registry.register_value(Authenticator, Numbers())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with engine.begin() as connection:
        for number in (1, 2):
            person = {"id": number, "email": f"{number}@example.org", "name": "x", "password_hash": "x"}
            connection.execute(insert(users).values(person | {"active": True, "created_at": now}))
    return registry


def ask(
    registry: svcs.Registry, code: str = "PT", key: str | None = '"k"', user: int = 1, route: Route[Any] = ROUTE
) -> Response:
    headers = {"authorization": f"Bearer {user}", "content-type": "application/json"}
    if key is not None:
        headers["idempotency-key"] = key
    with request_context("test"):
        return dispatch(route, Request(method="POST", headers=headers, body=f'{{"code": "{code}"}}'.encode()), registry)


def test_what_is_sent_again_is_answered_again(ready: svcs.Registry, engine: Engine) -> None:
    first, second = ask(ready), ask(ready)
    assert (first.status, first.body) == (second.status, second.body) == (201, b'{"number":1}\n')
    assert second.headers["Location"] == "/x/1"
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(countries)).scalar_one() == 1


def test_a_key_belongs_to_one_user_and_one_request(ready: svcs.Registry) -> None:
    assert ask(ready).status == 201
    assert ask(ready, "FR").status == 422
    assert ask(ready, "FR", user=2).status == 201
    assert ask(ready, "US", key="k").status == 422, "with and without quotes it is the same key"
    assert ask(ready, "US", key='"other"').status == 201


def test_without_a_key_each_request_counts(ready: svcs.Registry) -> None:
    assert ask(ready, key=None).status == 201
    assert ask(ready, "FR", key=None).headers.keys() == ask(ready, "US", key=None).headers.keys()


def test_of_many_at_once_one_acts(ready: svcs.Registry, engine: Engine) -> None:
    together = threading.Barrier(6)

    def one(number: int) -> Response:
        together.wait(30)
        return ask(ready)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(one, range(6)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert [answer.status for answer in answers if "Idempotency-Replayed" not in answer.headers].count(201) == 1
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 409)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(countries)).scalar_one() == 1


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("error", [Conflict("no"), RuntimeError("bug")])
def test_what_failed_may_be_tried_again(ready: svcs.Registry, error: Exception, committed: bool) -> None:
    def fail(call: Call[Code]) -> Made:
        if committed:
            call.get(Session).commit()
        raise error

    failing = replace(ROUTE, endpoint=fail)
    if isinstance(error, Conflict):
        assert ask(ready, route=failing).status == 409
    else:
        with pytest.raises(RuntimeError):
            ask(ready, route=failing)
    assert ask(ready).status == 201


@pytest.mark.parametrize("in_steps", [False, True])
def test_what_died_after_its_work_is_done_once(ready: svcs.Registry, engine: Engine, in_steps: bool) -> None:
    """The process is gone between the use case's commit and the answer: here it never returns from it.

    What the database has then is what a kill leaves, too: of a transaction that was not committed, nothing.
    """
    route = replace(ROUTE, in_steps=in_steps)

    class Killed(BaseException):
        pass

    class Dying:
        def __init__(self, answers: Any) -> None:
            self.answers = answers

        def claim(self, *arguments: Any, **named: Any) -> Any:
            return self.answers.claim(*arguments, **named)

        def keep(self, *arguments: Any) -> None:
            raise Killed

    def dying(components: svcs.Container) -> Dying:
        return Dying(components.get(Answers))

    def living(components: svcs.Container) -> Answers:
        return components.get(Answers)

    ready.register_factory(KeptAnswers, dying)
    with pytest.raises(Killed):
        ask(ready, route=route)
    ready.register_factory(KeptAnswers, living)
    assert ask(ready, route=route).status == (409 if in_steps else 201)
    waiting = ask(ready, route=route)
    assert "Retry-After" in waiting.headers if in_steps else "Idempotency-Replayed" in waiting.headers
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(countries)).scalar_one() == 1
        connection.execute(update(kept_answers).values(created_at=datetime(2026, 1, 1, tzinfo=UTC)))
    if in_steps:
        lost = ask(ready, route=route)
        assert (lost.status, "Retry-After" in lost.headers) == (409, False)


@pytest.mark.parametrize("key", ["", '""', '"', 'a"b', "é", "x" * 201, '"a\x00"'])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadRequest):
        key_digest(key)


def test_every_part_of_a_request_counts() -> None:
    plain = Request(path={"id": "1"}, query={"a": ["1"]}, body=b"{}", headers={"content-type": "text/csv"})
    others = [
        (ROUTE, replace(plain, path={"id": "2"})),
        (ROUTE, replace(plain, query={"a": ["2"]})),
        (ROUTE, replace(plain, body=b"{ }")),
        (ROUTE, replace(plain, headers={"content-type": "application/json"})),
        (replace(ROUTE, name="y"), plain),
    ]
    assert len({fingerprint(route, request) for route, request in [(ROUTE, plain), *others]}) == 6
