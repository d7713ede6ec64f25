import svcs
from sqlalchemy import insert

from app.clock import Clock
from app.database.session import Session
from app.idempotency.services import KEPT, Answers
from app.jobs.runner import JobRunner
from app.users.tables import users
from tests.app.idempotency.test_services import Hands


def test_old_answers_are_removed(registry: svcs.Registry) -> None:
    clock = Hands()
    registry.register_value(Clock, clock)
    person = {"id": 1, "email": "me@example.org", "name": "x", "password_hash": "x", "active": True}
    with svcs.Container(registry) as components:
        components.get(Session).execute(insert(users).values(person | {"created_at": clock.now()}))
        answers = components.get(Answers)
        answers.claim(1, "old", "f", whole=True)
        answers.keep(1, "old", "{}")
        clock.time += KEPT * 2
        answers.claim(1, "new", "f", whole=True)
        answers.keep(1, "new", "{}")
        runner = components.get(JobRunner)
    assert runner.run("idempotency.remove-old-answers", {}) == "1 kept answer removed"
