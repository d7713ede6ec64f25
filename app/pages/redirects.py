"""Where a form leads to: only ever to a page of our own."""

import logging
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)


def is_ours(target: str) -> bool:
    """Say whether an address is a path on this very host.

    Browsers take a backslash for a slash and leave out tabs and line ends, so ``/\\evil.example`` and the like are
    somebody else's host.
    """
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return False
    if any(ord(character) < 0x21 or ord(character) == 0x7F for character in target):
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def safe(target: str | None, otherwise: str) -> str:
    """Return an address to redirect to: the one that was asked for, if it is ours."""
    return target if target and is_ours(target) else otherwise
