"""Where second factors are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import delete, func, insert, select, update

from app.auth.models import SecondFactor
from app.auth.tables import recovery_codes, second_factors
from app.database.session import Session

logger = logging.getLogger(__name__)


class SecondFactorRepository(Protocol):
    """Keeps second factors and recovery codes."""

    def of(self, user_id: int) -> SecondFactor | None:
        """Return a user's second factor, confirmed or not, or None."""
        ...

    def begin(self, user_id: int, secret: str) -> None:
        """Keep a new one, not confirmed yet, instead of one that is there."""
        ...

    def confirm(self, user_id: int, secret: str, now: datetime) -> bool:
        """Let it count from now on; say whether it was there and did not yet."""
        ...

    def use_step(self, user_id: int, step: int) -> bool:
        """Use a code up by the number of its half minute; say whether none as new was used before."""
        ...

    def remove(self, user_id: int) -> bool:
        """Remove a second factor with its recovery codes; say whether there was one."""
        ...

    def keep_codes(self, user_id: int, digests: Sequence[str]) -> None:
        """Keep recovery codes instead of those that are there."""
        ...

    def use_code(self, user_id: int, digest: str) -> bool:
        """Use a recovery code up; say whether it was there."""
        ...

    def count_codes(self, user_id: int) -> int:
        """Return how many recovery codes are left."""
        ...


class SqlSecondFactorRepository:
    """Second factors in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def of(self, user_id: int) -> SecondFactor | None:
        """Return a user's second factor, confirmed or not, or None."""
        found = select(second_factors).where(second_factors.c.user_id == user_id)
        row = self.session.execute(found).one_or_none()
        return None if row is None else SecondFactor(row.user_id, row.secret, row.confirmed_at)

    def begin(self, user_id: int, secret: str) -> None:
        """Keep a new one, not confirmed yet, instead of one that is there."""
        self.remove(user_id)
        self.session.execute(insert(second_factors).values(user_id=user_id, secret=secret, last_step=0))

    def confirm(self, user_id: int, secret: str, now: datetime) -> bool:
        """Let it count from now on; say whether it was there and did not yet."""
        mine = (second_factors.c.user_id == user_id, second_factors.c.secret == secret)
        open_ones = update(second_factors).where(*mine, second_factors.c.confirmed_at.is_(None))
        return self.session.execute(open_ones.values(confirmed_at=now)).rowcount == 1

    def use_step(self, user_id: int, step: int) -> bool:
        """Use a code up by the number of its half minute; say whether none as new was used before."""
        older = (second_factors.c.user_id == user_id, second_factors.c.last_step < step)
        return self.session.execute(update(second_factors).where(*older).values(last_step=step)).rowcount == 1

    def remove(self, user_id: int) -> bool:
        """Remove a second factor with its recovery codes; say whether there was one."""
        gone = self.session.execute(delete(second_factors).where(second_factors.c.user_id == user_id)).rowcount
        self.session.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        return gone == 1

    def keep_codes(self, user_id: int, digests: Sequence[str]) -> None:
        """Keep recovery codes instead of those that are there."""
        self.session.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        rows = [{"user_id": user_id, "digest": digest} for digest in digests]
        self.session.execute(insert(recovery_codes), rows)

    def use_code(self, user_id: int, digest: str) -> bool:
        """Use a recovery code up; say whether it was there."""
        mine = (recovery_codes.c.user_id == user_id, recovery_codes.c.digest == digest)
        return self.session.execute(delete(recovery_codes).where(*mine)).rowcount == 1

    def count_codes(self, user_id: int) -> int:
        """Return how many recovery codes are left."""
        mine = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
        return int(self.session.execute(mine).scalar_one())


class InMemorySecondFactorRepository:
    """Second factors in dictionaries."""

    def __init__(self) -> None:
        self.factors: dict[int, SecondFactor] = {}
        self.steps: dict[int, int] = {}
        self.codes: dict[int, set[str]] = {}

    def of(self, user_id: int) -> SecondFactor | None:
        """Return a user's second factor, confirmed or not, or None."""
        return self.factors.get(user_id)

    def begin(self, user_id: int, secret: str) -> None:
        """Keep a new one, not confirmed yet, instead of one that is there."""
        self.remove(user_id)
        self.factors[user_id] = SecondFactor(user_id, secret, None)

    def confirm(self, user_id: int, secret: str, now: datetime) -> bool:
        """Let it count from now on; say whether it was there and did not yet."""
        factor = self.factors.get(user_id)
        if factor is None or factor.secret != secret or factor.confirmed_at is not None:
            return False
        self.factors[user_id] = dataclasses.replace(factor, confirmed_at=now)
        return True

    def use_step(self, user_id: int, step: int) -> bool:
        """Use a code up by the number of its half minute; say whether none as new was used before."""
        if user_id not in self.factors or self.steps.get(user_id, 0) >= step:
            return False
        self.steps[user_id] = step
        return True

    def remove(self, user_id: int) -> bool:
        """Remove a second factor with its recovery codes; say whether there was one."""
        self.codes.pop(user_id, None)
        self.steps.pop(user_id, None)
        return self.factors.pop(user_id, None) is not None

    def keep_codes(self, user_id: int, digests: Sequence[str]) -> None:
        """Keep recovery codes instead of those that are there."""
        self.codes[user_id] = set(digests)

    def use_code(self, user_id: int, digest: str) -> bool:
        """Use a recovery code up; say whether it was there."""
        if digest not in self.codes.get(user_id, ()):
            return False
        self.codes[user_id].remove(digest)
        return True

    def count_codes(self, user_id: int) -> int:
        """Return how many recovery codes are left."""
        return len(self.codes.get(user_id, ()))
