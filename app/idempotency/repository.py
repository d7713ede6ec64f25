"""Where answers are kept: the port, its adapter on the database, and its twin in memory."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.database.session import Session
from app.idempotency.models import Answer
from app.idempotency.tables import kept_answers

logger = logging.getLogger(__name__)


class KeyTaken(Exception):
    """The key was claimed before."""


class AnswerRepository(Protocol):
    """Keeps answers by user and key."""

    def add(self, answer: Answer) -> None:
        """Add one. Raises KeyTaken."""
        ...

    def by_key(self, user_id: int, key_digest: str) -> Answer | None:
        """Return one, or None."""
        ...

    def complete(self, user_id: int, key_digest: str, text: str) -> None:
        """Write the answer down."""
        ...

    def remove(self, user_id: int, key_digest: str) -> None:
        """Remove one, if it is there."""
        ...

    def remove_before(self, moment: datetime) -> int:
        """Remove those that are older, and return how many."""
        ...


class SqlAnswerRepository:
    """Answers in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, answer: Answer) -> None:
        """Add one. Raises KeyTaken. While another transaction adds the same, this waits for its end."""
        row = {
            "user_id": answer.user_id,
            "key_digest": answer.key_digest,
            "fingerprint": answer.fingerprint,
            "answer": answer.text,
            "created_at": answer.created_at,
        }
        try:
            with self.session.savepoint():
                self.session.execute(insert(kept_answers).values(row))
        except IntegrityError:
            raise KeyTaken from None

    def by_key(self, user_id: int, key_digest: str) -> Answer | None:
        """Return one, or None."""
        found = (kept_answers.c.user_id == user_id) & (kept_answers.c.key_digest == key_digest)
        row = self.session.execute(select(kept_answers).where(found)).one_or_none()
        return Answer(row.user_id, row.key_digest, row.fingerprint, row.created_at, row.answer) if row else None

    def complete(self, user_id: int, key_digest: str, text: str) -> None:
        """Write the answer down."""
        found = (kept_answers.c.user_id == user_id) & (kept_answers.c.key_digest == key_digest)
        self.session.execute(update(kept_answers).where(found).values(answer=text))

    def remove(self, user_id: int, key_digest: str) -> None:
        """Remove one, if it is there."""
        found = (kept_answers.c.user_id == user_id) & (kept_answers.c.key_digest == key_digest)
        self.session.execute(delete(kept_answers).where(found))

    def remove_before(self, moment: datetime) -> int:
        """Remove those that are older, and return how many."""
        return self.session.execute(delete(kept_answers).where(kept_answers.c.created_at < moment)).rowcount


class InMemoryAnswerRepository:
    """Answers in a dictionary."""

    def __init__(self) -> None:
        self.answers: dict[tuple[int, str], Answer] = {}

    def add(self, answer: Answer) -> None:
        """Add one. Raises KeyTaken."""
        key = (answer.user_id, answer.key_digest)
        if key in self.answers:
            raise KeyTaken
        self.answers[key] = answer

    def by_key(self, user_id: int, key_digest: str) -> Answer | None:
        """Return one, or None."""
        return self.answers.get((user_id, key_digest))

    def complete(self, user_id: int, key_digest: str, text: str) -> None:
        """Write the answer down."""
        key = (user_id, key_digest)
        self.answers[key] = replace(self.answers[key], text=text)

    def remove(self, user_id: int, key_digest: str) -> None:
        """Remove one, if it is there."""
        self.answers.pop((user_id, key_digest), None)

    def remove_before(self, moment: datetime) -> int:
        """Remove those that are older, and return how many."""
        old = [key for key, answer in self.answers.items() if answer.created_at < moment]
        for key in old:
            del self.answers[key]
        return len(old)
