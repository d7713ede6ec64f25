"""Use cases: claim a key, keep the answer, forget it after a day."""

import logging
from dataclasses import replace
from datetime import timedelta

from app.clock import Clock
from app.database.transaction import Transaction
from app.idempotency.models import Answer
from app.idempotency.repository import AnswerRepository, KeyTaken

logger = logging.getLogger(__name__)

KEPT = timedelta(days=1)
AT_WORK = timedelta(minutes=2)
"""No request is: load balancer and server end one after a minute."""


class Answers:
    """Keeps answers for those who ask the same again."""

    def __init__(self, repository: AnswerRepository, transaction: Transaction, clock: Clock) -> None:
        self.repository = repository
        self.transaction = transaction
        self.clock = clock

    def claim(self, user_id: int, key_digest: str, fingerprint: str, *, whole: bool) -> Answer | None:
        """Claim a key in a new transaction, which is the use case's, too; return what is kept if it was claimed.

        With ``whole`` that transaction ends with ``keep``, whatever the use case commits.
        """
        self.transaction.commit()
        try:
            self.repository.add(Answer(user_id, key_digest, fingerprint, self.clock.now()))
        except KeyTaken:
            self.transaction.rollback()  # to see what the other transaction has written meanwhile
            before = self.repository.by_key(user_id, key_digest)
            if before is None:  # released just now
                return Answer(user_id, key_digest, fingerprint, self.clock.now())
            lost = before.text is None and self.clock.now() - before.created_at > AT_WORK
            return replace(before, lost=lost)
        if whole:
            self.transaction.hold()
        return None

    def keep(self, user_id: int, key_digest: str, text: str) -> None:
        """Keep the answer, and make all of it last."""
        self.repository.complete(user_id, key_digest, text)
        self.transaction.let_go()
        self.transaction.commit()

    def release(self, user_id: int, key_digest: str) -> None:
        """Undo what was not committed, and let the key be claimed again."""
        self.transaction.let_go()
        self.transaction.rollback()
        self.repository.remove(user_id, key_digest)
        self.transaction.commit()

    def remove_old(self) -> int:
        """Remove what nobody will ask for any more, and return how many."""
        removed = self.repository.remove_before(self.clock.now() - KEPT)
        self.transaction.commit()
        return removed
