from datetime import UTC, datetime, timedelta

import pytest

from app.database.transaction import InMemoryTransaction
from app.idempotency.repository import InMemoryAnswerRepository
from app.idempotency.services import AT_WORK, KEPT, Answers


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
    assert answers.claim(1, "k", "f", whole=True) is None
    at_work = answers.claim(1, "k", "f", whole=True)
    assert at_work is not None
    assert at_work.text is None
    answers.keep(1, "k", "done")
    kept = answers.claim(1, "k", "g", whole=True)
    assert kept is not None
    assert (kept.text, kept.fingerprint) == ("done", "f")


def test_a_key_that_was_released_may_be_claimed_again(answers: Answers) -> None:
    answers.claim(1, "k", "f", whole=True)
    answers.release(1, "k")
    assert answers.claim(1, "k", "f", whole=True) is None


def test_answers_are_kept_for_a_day(answers: Answers, clock: Hands) -> None:
    answers.claim(1, "k", "f", whole=True)
    clock.time += KEPT
    assert answers.remove_old() == 0
    clock.time += timedelta(seconds=1)
    assert answers.remove_old() == 1
    assert answers.claim(1, "k", "f", whole=True) is None


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_whole_is_committed_with_its_answer(clock: Hands, whole: bool) -> None:
    transaction = InMemoryTransaction()
    answers = Answers(InMemoryAnswerRepository(), transaction, clock)
    answers.claim(1, "k", "f", whole=whole)
    transaction.commit()  # the use case's
    assert transaction.commits == (1 if whole else 2)
    answers.keep(1, "k", "done")
    assert transaction.commits == (2 if whole else 3)


def test_an_answer_that_did_not_come_for_so_long_is_lost(answers: Answers, clock: Hands) -> None:
    answers.claim(1, "k", "f", whole=False)
    clock.time += AT_WORK
    at_work = answers.claim(1, "k", "f", whole=False)
    clock.time += timedelta(seconds=1)
    lost = answers.claim(1, "k", "f", whole=False)
    assert at_work is not None
    assert lost is not None
    assert (at_work.lost, lost.lost) == (False, True)
