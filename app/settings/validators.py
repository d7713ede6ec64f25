"""What a variable's value must look like. Each function returns the value or raises ValueError."""

import logging
import re
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import SecretStr, ValidationInfo

logger = logging.getLogger(__name__)

SECRET_KEY_LENGTH = 32
RATE = re.compile(r"([1-9][0-9]{0,6})/(second|minute|hour|day)")
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
URL_OPTIONS = {
    "postgresql+psycopg": frozenset({"host", "port", "sslmode", "sslrootcert", "target_session_attrs"}),
    "mariadb+pymysql": frozenset({"unix_socket", "ssl_ca"}),
}
"""Servers' URLs begin with one of these; their options say where sockets or several servers are, and whom to trust."""

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
        raise ValueError("that is too short or too simple")
    if is_example(text):
        raise ValueError("that reads like an example")
    return value


def is_example(secret: str) -> bool:
    """Say whether a secret was copied from documentation instead of made."""
    return any(word in secret.lower() for word in EXAMPLE_WORDS)


def checked_database_url(value: str) -> str:
    """Accept the URL of an SQLite file, or of a database of PostgreSQL or MariaDB."""
    if not (is_sqlite_file(value) or is_on_a_server(value)):
        raise ValueError("not a database")
    return value


def is_sqlite_file(url: str) -> bool:
    """Say whether a URL names an SQLite file. One in memory would be another database in each worker."""
    path = url.removeprefix("sqlite:///")
    return path != url and path != "" and ":memory:" not in path and "?" not in path and not path.endswith("/")


def is_on_a_server(url: str) -> bool:
    """Say whether a URL names user, host and database of a server, and only options that are known here.

    Another option might be a second password, or a file or service that is only there on the computer of whoever
    wrote the URL.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        return False
    name = parts.path.removeprefix("/")
    return (
        parts.scheme in URL_OPTIONS
        and bool(parts.username)
        and bool(parts.hostname or options.get("host") or options.get("unix_socket"))
        and bool(name)
        and "/" not in name
        and not parts.fragment
        and URL_OPTIONS[parts.scheme].issuperset(options)
        and all(options.values())
    )


def checked_database_password(value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
    """Accept the password of a server's URL that has none itself."""
    url = others.data.get("database_url")
    if value is None or url is None:
        return value
    if is_sqlite_file(url):
        raise ValueError("although an SQLite database has none")
    if urlsplit(url).password is not None:
        raise ValueError("although DATABASE_URL has one, too")
    if is_example(value.get_secret_value()):
        raise ValueError("that reads like an example")
    return value


def checked_broker_url(value: str | None) -> str | None:
    """Accept the URL of a Redis server. A password in it would be shown to whoever sees the variables."""
    if value is None:
        return value
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        raise ValueError("not a Redis server") from None
    database = parts.path.removeprefix("/")
    right = parts.scheme in ("redis", "rediss") and parts.hostname and (not database or database.isdigit())
    if not right or parts.query or parts.fragment:
        raise ValueError("not a Redis server")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with user or password: set REDIS_PASSWORD")
    return value


def checked_redis_password(value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
    """Accept the password of a broker."""
    if value is None or "broker_url" not in others.data:
        return value
    if others.data["broker_url"] is None:
        raise ValueError("although there is no BROKER_URL")
    if is_example(value.get_secret_value()):
        raise ValueError("that reads like an example")
    return value


def checked_public_url(value: str) -> str:
    """Accept the address of a site: links are made by adding a path to it."""
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("not the address of a site")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("more than the address of a site")
    return value.rstrip("/")


def checked_smtp_url(value: str | None) -> str | None:
    """Accept the URL of a mail server. A password in it would be shown to whoever sees the variables."""
    if value is None:
        return value
    parts = _split(value)
    if parts is None or parts.scheme not in ("smtp", "smtp+starttls", "smtps") or not parts.hostname:
        raise ValueError("not a mail server")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("more than a mail server")
    if parts.password is not None:
        raise ValueError("a URL with a password: set SMTP_PASSWORD")
    if parts.username and parts.scheme == "smtp":
        raise ValueError("a user whose password would not be encrypted: write smtp+starttls or smtps")
    return value


def checked_smtp_password(value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
    """Accept the password of a mail server's user."""
    if value is None or "smtp_url" not in others.data:
        return value
    parts = _split(others.data["smtp_url"] or "")
    if parts is None or not parts.username:
        raise ValueError("although SMTP_URL has no user")
    if is_example(value.get_secret_value()):
        raise ValueError("that reads like an example")
    return value


def checked_mail_from(value: str) -> str:
    """Accept an address that mail can come from."""
    user, _, host = value.strip().rpartition("@")
    if not user or not host or any(character.isspace() or character in '<>,"@' for character in user + host):
        raise ValueError("not an e-mail address")
    return value.strip()


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        return None
    return parts


def checked_rate(value: str) -> str:
    """Accept so many requests in a unit of time, or ``off``."""
    if value != "off" and not RATE.fullmatch(value):
        raise ValueError("not a rate")
    return value


def checked_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Accept what browsers send as Origin: scheme, host and perhaps port; or ``*`` alone."""
    if value != ("*",) and not all(ORIGIN.fullmatch(origin) for origin in value):
        raise ValueError("not origins")
    return value


def checked_nominatim_url(value: str | None) -> str | None:
    """Accept the URL of a web server."""
    if value is None:
        return value
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        raise ValueError("not a web server") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not a web server")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with user or password")
    return value.rstrip("/")


def checked_geocoder(value: str, others: ValidationInfo) -> str:
    """Accept a geocoder that has what it needs."""
    if value == "nominatim" and others.data.get("nominatim_url", "wrong") is None:
        raise ValueError("although there is no NOMINATIM_URL")
    return value


def checked_sentry_dsn(value: SecretStr | None) -> SecretStr | None:
    """Accept where errors go, in a release that can send them."""
    if value is None:
        return value
    parts = _split(value.get_secret_value())
    if parts is None or parts.scheme not in ("http", "https") or not parts.username or not parts.path.strip("/"):
        raise ValueError("that is no DSN")
    if is_example(value.get_secret_value()):
        raise ValueError("that reads like an example")
    if find_spec("sentry_sdk") is None:
        raise ValueError("although this release has no sentry-sdk")
    return value


def checked_otlp_endpoint(value: str | None) -> str | None:
    """Accept where spans go, in a release that can send them."""
    if value is None:
        return value
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not a collector")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ValueError("although this release has no opentelemetry-sdk")
    return value.rstrip("/")
