"""Password hashes: the port, and its adapter on argon2."""

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import argon2

logger = logging.getLogger(__name__)


class PasswordHasher(Protocol):
    """Turns passwords into hashes that are slow to guess."""

    def hash(self, password: str) -> str:
        """Return a new hash, different each time."""
        ...

    def matches(self, hashed: str | None, password: str) -> bool:
        """Say whether a password is the hashed one. Without a hash the answer is no, after just as long a time."""
        ...

    def outdated(self, hashed: str) -> bool:
        """Say whether a hash was made with less effort than is made today."""
        ...


class Argon2Hasher:
    """Argon2id with the library's parameters (RFC 9106, low memory): some 30 ms and 64 MiB.

    ``memory_kib`` is for tests that hash a lot and care little.
    """

    def __init__(self, memory_kib: int = 65_536) -> None:
        self.memory_kib = memory_kib

    def hash(self, password: str) -> str:
        """Return a new hash, different each time."""
        return self._argon2.hash(password)

    def matches(self, hashed: str | None, password: str) -> bool:
        """Say whether a password is the hashed one. Without a hash the answer is no, after just as long a time."""
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._argon2.verify(hashed or self._nobody, password) and hashed is not None
        except (InvalidHashError, VerificationError):
            return False

    def outdated(self, hashed: str) -> bool:
        """Say whether a hash was made with less effort than is made today, or more."""
        return self._argon2.check_needs_rehash(hashed)

    @cached_property
    def _argon2(self) -> "argon2.PasswordHasher":
        import argon2

        return argon2.PasswordHasher(memory_cost=self.memory_kib)

    @cached_property
    def _nobody(self) -> str:
        return self._argon2.hash("nobody has this password")
