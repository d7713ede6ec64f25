"""Pure helpers: tokens and their digests."""

import hashlib
import hmac
import logging
import secrets

logger = logging.getLogger(__name__)

PREFIX = "gzt_"
"""Lets secret scanners recognise a token that was published by mistake."""


def new_token() -> str:
    """Return a token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str, key: str) -> str:
    """Return what is stored of a token: keyed, so that a stolen table is useless without the key.

    A fast hash will do: nobody guesses 256 random bits.
    """
    return hmac.new(key.encode(), token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
