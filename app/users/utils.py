"""Pure helpers: what an e-mail address and a password must look like."""

import logging
import re

from pydantic import SecretStr

logger = logging.getLogger(__name__)

LONGEST_EMAIL = 254
PASSWORD_LENGTH = range(12, 129)
"""Characters in a password. Longer ones would only buy time on our processors. What they are is everybody's own matter:
rules about that make passwords worse (NIST SP 800-63B)."""

EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@(?:[^@\s.\x00-\x1f\x7f]{1,63}\.)+[^@\s.\x00-\x1f\x7f]{2,63}")


def normalise_email(text: str) -> str:
    """Return an address as it is kept and compared: trimmed, without case. Raises ValueError if it can't be one.

    Only sending mail can prove an address; this refuses what certainly isn't one.
    """
    email = text.strip().casefold()
    if len(email) > LONGEST_EMAIL or not EMAIL.fullmatch(email):
        raise ValueError("not an e-mail address")
    return email


def split_name(name: str) -> tuple[str, str]:
    """Split a name into given and family name, at its last space: whoever knows better says so themselves.

    Nothing is lost: `joined_name` gives the same name again.
    """
    given, space, family = name.rpartition(" ")
    return (given, family) if space and family else (name, "")


def joined_name(given: str, family: str) -> str:
    """Return the name that given and family name make."""
    return f"{given} {family}" if family else given


def checked_password(password: SecretStr) -> SecretStr:
    """Return a password that may be set. Raises ValueError for one that is too short or too long."""
    if len(password) not in PASSWORD_LENGTH:
        raise ValueError(f"a password must have {PASSWORD_LENGTH[0]} to {PASSWORD_LENGTH[-1]} characters")
    return password


def acceptable_password(password: str, email: str) -> str:
    """Return a password that a user with this address may set. Raises ValueError for one that is the address."""
    checked_password(SecretStr(password))
    if password.strip().casefold() == email:
        raise ValueError("the password must not be the e-mail address")
    return password
