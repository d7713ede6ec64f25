"""What a variable's value must look like. Each function returns the value or raises ValueError."""

import logging
from typing import Any

from pydantic import SecretStr

logger = logging.getLogger(__name__)

SECRET_KEY_LENGTH = 32
EXAMPLE_WORDS = (
    "changeme",
    "change-me",
    "change_me",
    "change this",
    "example",
    "replace",
    "insecure",
    "your-secret",
    "supersecret",
)


def upper(value: Any) -> Any:
    """Let ``info`` mean ``INFO``."""
    return value.upper() if isinstance(value, str) else value


def split_list(value: Any) -> Any:
    """Split ``a, b`` into its parts."""
    if not isinstance(value, str):
        return value
    parts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    if not parts:
        raise ValueError("empty")
    return parts


def checked_secret_key(value: SecretStr) -> SecretStr:
    """Refuse a key that is short, made of few different characters, or reads like an example."""
    text = value.get_secret_value()
    if len(text) < SECRET_KEY_LENGTH or len(set(text)) < 10:
        raise ValueError("weak")
    if any(word in text.lower() for word in EXAMPLE_WORDS):
        raise ValueError("an example")
    return value


def checked_database_url(value: str) -> str:
    """Accept the URL of an SQLite file. One in memory would be another database in each worker."""
    path = value.removeprefix("sqlite:///")
    if path == value or not path or ":memory:" in path or "?" in path or path.endswith("/"):
        raise ValueError("not an SQLite file")
    return value
