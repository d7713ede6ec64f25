"""Where letters are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, delete, func, insert, select, update

from app.auth.letter_models import Letter, LetterKind
from app.auth.tables import letters
from app.database.session import Session

logger = logging.getLogger(__name__)


class LetterRepository(Protocol):
    """Keeps letters."""

    def add(self, letter: Letter) -> None:
        """Add a letter."""
        ...

    def by_id(self, letter_id: str) -> Letter | None:
        """Return a letter, expired or not, or None."""
        ...

    def count_since(self, email: str, moment: datetime) -> int:
        """Return how many letters to an address were written since then."""
        ...

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return the ids of letters that should have been sent by now, the oldest first."""
        ...

    def claim(self, letter: Letter, now: datetime, due_at: datetime) -> bool:
        """Say whether the caller is the one to send a letter now; if nobody says it was sent, it is due then again."""
        ...

    def note_sent(self, letter_id: str, now: datetime) -> None:
        """Note that a letter was sent."""
        ...

    def take(self, letter_id: str, now: datetime) -> bool:
        """Remove a letter that has not expired; of several who try, one is told that it was there."""
        ...

    def remove_of(self, user_id: int) -> int:
        """Remove every letter with a link for a user, and return how many."""
        ...

    def remove_expired(self, now: datetime) -> int:
        """Remove letters that nobody can use any more, and return how many."""
        ...


class SqlLetterRepository:
    """Letters in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, letter: Letter) -> None:
        """Add a letter."""
        row = {entry.name: getattr(letter, entry.name) for entry in dataclasses.fields(letter)}
        self.session.execute(insert(letters).values(row | {"kind": letter.kind.value}))

    def by_id(self, letter_id: str) -> Letter | None:
        """Return a letter, expired or not, or None."""
        row = self.session.execute(select(letters).where(letters.c.id == letter_id)).one_or_none()
        return None if row is None else _letter(row)

    def count_since(self, email: str, moment: datetime) -> int:
        """Return how many letters to an address were written since then."""
        written = select(func.count()).where(letters.c.email == email, letters.c.created_at > moment)
        return int(self.session.execute(written).scalar_one())

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return the ids of letters that should have been sent by now, the oldest first."""
        waiting = (letters.c.sent_at.is_(None), letters.c.due_at <= now, letters.c.expires_at > now)
        oldest = select(letters.c.id).where(*waiting).order_by(letters.c.created_at, letters.c.id).limit(limit)
        return [row.id for row in self.session.execute(oldest).all()]

    def claim(self, letter: Letter, now: datetime, due_at: datetime) -> bool:
        """Say whether the caller is the one to send a letter now; if nobody says it was sent, it is due then again."""
        mine = (letters.c.id == letter.id, letters.c.attempts == letter.attempts)
        waiting = (letters.c.sent_at.is_(None), letters.c.due_at <= now, letters.c.expires_at > now)
        claimed = update(letters).where(*mine, *waiting).values(attempts=letter.attempts + 1, due_at=due_at)
        return self.session.execute(claimed).rowcount == 1

    def note_sent(self, letter_id: str, now: datetime) -> None:
        """Note that a letter was sent."""
        self.session.execute(update(letters).where(letters.c.id == letter_id).values(sent_at=now))

    def take(self, letter_id: str, now: datetime) -> bool:
        """Remove a letter that has not expired; of several who try, one is told that it was there."""
        there = (letters.c.id == letter_id, letters.c.expires_at > now)
        return self.session.execute(delete(letters).where(*there)).rowcount == 1

    def remove_of(self, user_id: int) -> int:
        """Remove every letter with a link for a user, and return how many."""
        with_link = (letters.c.user_id == user_id, letters.c.kind.in_([LetterKind.RESET, LetterKind.EMAIL]))
        return self.session.execute(delete(letters).where(*with_link)).rowcount

    def remove_expired(self, now: datetime) -> int:
        """Remove letters that nobody can use any more, and return how many."""
        return self.session.execute(delete(letters).where(letters.c.expires_at <= now)).rowcount


def _letter(row: Row[*tuple[Any, ...]]) -> Letter:
    values = {entry.name: getattr(row, entry.name) for entry in dataclasses.fields(Letter)}
    return Letter(**(values | {"kind": LetterKind(row.kind)}))


class InMemoryLetterRepository:
    """Letters in a dictionary."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}

    def add(self, letter: Letter) -> None:
        """Add a letter."""
        self.letters[letter.id] = letter

    def by_id(self, letter_id: str) -> Letter | None:
        """Return a letter, expired or not, or None."""
        return self.letters.get(letter_id)

    def count_since(self, email: str, moment: datetime) -> int:
        """Return how many letters to an address were written since then."""
        return sum(letter.email == email and letter.created_at > moment for letter in self.letters.values())

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return the ids of letters that should have been sent by now, the oldest first."""
        waiting = [letter for letter in self.letters.values() if _waiting(letter, now)]
        return [letter.id for letter in sorted(waiting, key=lambda each: (each.created_at, each.id))][:limit]

    def claim(self, letter: Letter, now: datetime, due_at: datetime) -> bool:
        """Say whether the caller is the one to send a letter now; if nobody says it was sent, it is due then again."""
        kept = self.letters.get(letter.id)
        if kept is None or kept.attempts != letter.attempts or not _waiting(kept, now):
            return False
        self.letters[kept.id] = dataclasses.replace(kept, attempts=kept.attempts + 1, due_at=due_at)
        return True

    def note_sent(self, letter_id: str, now: datetime) -> None:
        """Note that a letter was sent."""
        if letter_id in self.letters:
            self.letters[letter_id] = dataclasses.replace(self.letters[letter_id], sent_at=now)

    def take(self, letter_id: str, now: datetime) -> bool:
        """Remove a letter that has not expired; of several who try, one is told that it was there."""
        return self._remove(lambda letter: letter.id == letter_id and letter.expires_at > now) == 1

    def remove_of(self, user_id: int) -> int:
        """Remove every letter with a link for a user, and return how many."""
        kinds = {LetterKind.RESET, LetterKind.EMAIL}
        return self._remove(lambda letter: letter.user_id == user_id and letter.kind in kinds)

    def remove_expired(self, now: datetime) -> int:
        """Remove letters that nobody can use any more, and return how many."""
        return self._remove(lambda letter: letter.expires_at <= now)

    def _remove(self, unwanted: Callable[[Letter], bool]) -> int:
        gone = [letter.id for letter in self.letters.values() if unwanted(letter)]
        for letter_id in gone:
            del self.letters[letter_id]
        return len(gone)


def _waiting(letter: Letter, now: datetime) -> bool:
    return letter.sent_at is None and letter.due_at <= now < letter.expires_at
