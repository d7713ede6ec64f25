"""Use cases: write to somebody, and recognise the link that they follow.

A letter is a row that is committed together with what it is about, and then sent by a job. What could not be sent, or
queued, is sent by a later round, so no letter is lost while the mail server, the broker or a worker is away.
"""

import hashlib
import logging
import secrets
from datetime import timedelta

from itsdangerous import BadSignature, Signer

from app.auth.letter_models import ASKED_FOR, GOOD_FOR, GOOD_FOR_OTHERS, PAGES, Letter, LetterKind
from app.auth.letter_repository import LetterRepository
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotFound
from app.jobs.models import JobQueue
from app.mail.mailers import Mailer
from app.mail.models import MailFailed
from app.mail.writing import write
from app.settings import Settings

logger = logging.getLogger(__name__)

SEND = "auth.send-letter"
ROUND = 100
"""Letters that one round sends at most."""

ENOUGH, ENOUGH_IN = 5, timedelta(hours=1)
"""Letters to one address in that time. Whoever asks for more gets the same answer, and no mail."""

USELESS = "This link is not valid, or not any more."


class Letters:
    """Writes letters, sends them, and opens their links."""

    def __init__(
        self,
        letters: LetterRepository,
        transaction: Transaction,
        queue: JobQueue,
        mailer: Mailer,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.letters = letters
        self.transaction = transaction
        self.queue = queue
        self.mailer = mailer
        self.clock = clock
        self.settings = settings

    def post(
        self,
        kind: LetterKind,
        email: str,
        *,
        user_id: int | None = None,
        name: str | None = None,
        password_hash: str | None = None,
        language: str | None = None,
    ) -> None:
        """Write a letter, commit it with whatever else this transaction did, and have it sent."""
        now = self.clock.now()
        expires_at = now + GOOD_FOR.get(kind, GOOD_FOR_OTHERS)
        letter = Letter(
            secrets.token_urlsafe(16), kind, email, now, expires_at, now, user_id, name, password_hash, language
        )
        self.letters.add(letter)
        # Looked up after writing: a transaction that begins by reading can't always write on SQLite.
        if kind in ASKED_FOR and self.letters.count_since(email, now - ENOUGH_IN) > ENOUGH:
            self.letters.take(letter.id, now)
            logger.warning("no letter: enough were written to this address", extra={"kind": kind.value})
        self.transaction.commit()
        try:
            self.queue.enqueue(SEND, {"id": letter.id})
        except Exception as error:  # whatever a broker may raise: the next round sends it
            logger.warning("can't queue a letter, so it waits for the next round: %s", type(error).__name__)

    def send(self, letter_id: str) -> bool:
        """Send a letter, unless that was done or somebody else is at it; say whether it was sent here and now."""
        now = self.clock.now()
        letter = self.letters.by_id(letter_id)
        self.transaction.commit()
        if letter is None:
            return False
        again = now + timedelta(minutes=min(2**letter.attempts, 60))
        claimed = self.letters.claim(letter, now, again)
        self.transaction.commit()
        if not claimed:
            return False
        try:
            self.mailer.send(write(letter.kind.value, letter.email, letter.language, self._values(letter)))
        except MailFailed as error:
            logger.warning("a letter was not sent: %s", error, extra={"kind": letter.kind.value, "again": again})
            return False
        self.letters.note_sent(letter.id, self.clock.now())
        self.transaction.commit()
        return True

    def send_due(self) -> int:
        """Send what should have been sent by now, and return how many were."""
        waiting = self.letters.due(self.clock.now(), ROUND)
        self.transaction.commit()
        return sum(self.send(letter_id) for letter_id in waiting)

    def open(self, kind: LetterKind, secret: str) -> Letter:
        """Return the letter whose link this is. Raises NotFound. It stays good: mail programs follow links, too."""
        try:
            letter = self.letters.by_id(self._signer(kind).unsign(secret.encode("utf-8", "replace")).decode())
        except (BadSignature, UnicodeDecodeError):
            raise NotFound(USELESS) from None
        self.transaction.commit()
        if letter is None or letter.kind is not kind or letter.expires_at <= self.clock.now():
            raise NotFound(USELESS)
        return letter

    def take(self, letter: Letter) -> None:
        """Use a link up, as part of the transaction that does what it is for. Raises NotFound when that was done."""
        if not self.letters.take(letter.id, self.clock.now()):
            raise NotFound(USELESS)

    def secret_of(self, letter: Letter) -> str:
        """Return what stands at the end of a letter's link."""
        return self._signer(letter.kind).sign(letter.id).decode()

    def remove_expired(self) -> int:
        """Remove letters that nobody can use any more, and return how many."""
        removed = self.letters.remove_expired(self.clock.now())
        self.transaction.commit()
        return removed

    def _values(self, letter: Letter) -> dict[str, str]:
        site = self.settings.public_url
        values = {"site": site, "reset_page": f"{site}/reset"}
        if letter.kind in PAGES:
            values["link"] = f"{site}/{PAGES[letter.kind]}/{self.secret_of(letter)}"
            values["hours"] = f"{(letter.expires_at - letter.created_at) / timedelta(hours=1):.0f}"
        return values

    def _signer(self, kind: LetterKind) -> Signer:
        key = self.settings.secret_key.get_secret_value()
        return Signer(key, salt=f"letter:{kind.value}", digest_method=hashlib.sha256, key_derivation="hmac")
