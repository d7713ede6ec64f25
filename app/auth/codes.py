"""Codes of second factors: those that an authenticator shows (RFC 6238), and those for when it is lost."""

import hmac
import logging
import secrets
from datetime import datetime

logger = logging.getLogger(__name__)

SECONDS = 30
DIGITS = 6
AROUND = (0, -1, 1)
"""Steps that a code may be off: clocks differ, and people type slowly."""

RECOVERY_CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of recovery codes: nothing that is mistaken for something else on paper."""


def new_secret() -> str:
    """Return a secret for an authenticator: 160 random bits, as it takes them."""
    import pyotp

    return pyotp.random_base32()


def provisioning_uri(secret: str, email: str, issuer: str) -> str:
    """Return what an authenticator reads from a picture."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the number of the half minute that a code is of, if it is of one around now."""
    import pyotp

    totp, current = pyotp.TOTP(secret, digits=DIGITS, interval=SECONDS), int(now.timestamp()) // SECONDS
    given = code.encode("utf-8", "replace")
    found = [current + off for off in AROUND if hmac.compare_digest(totp.at((current + off) * SECONDS).encode(), given)]
    return found[0] if found else None


def new_recovery_codes() -> list[str]:
    """Return codes that are good once each, in two groups to be read more easily."""
    letters = ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    return [f"{code[:5]}-{code[5:]}" for code in letters]


def plain(code: str) -> str:
    """Return a code as it is compared: without what people put between its parts."""
    return "".join(code.split()).replace("-", "").lower()
