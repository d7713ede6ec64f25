from datetime import UTC, datetime, timedelta

import pytest

from app.database.transaction import InMemoryTransaction
from app.idempotency.repository import InMemoryAnswerRepository
from app.idempotency.services import KEPT, Answers


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def answers(clock: Hands) -> Answers:
    return Answers(InMemoryAnswerRepository(), InMemoryTransaction(), clock)


def test_whoever_claims_first_acts_and_the_others_get_the_answer(answers: Answers) -> None:
    assert answers.claim(1, "k", "f") is None
    at_work = answers.claim(1, "k", "f")
    assert at_work is not None
    assert at_work.text is None
    answers.keep(1, "k", "done")
    kept = answers.claim(1, "k", "g")
    assert kept is not None
    assert (kept.text, kept.fingerprint) == ("done", "f")


def test_a_key_that_was_released_may_be_claimed_again(answers: Answers) -> None:
    answers.claim(1, "k", "f")
    answers.release(1, "k")
    assert answers.claim(1, "k", "f") is None


def test_answers_are_kept_for_a_day(answers: Answers, clock: Hands) -> None:
    answers.claim(1, "k", "f")
    clock.time += KEPT
    assert answers.remove_old() == 0
    clock.time += timedelta(seconds=1)
    assert answers.remove_old() == 1
    assert answers.claim(1, "k", "f") is None
