"""Where the broker is. Told without importing Celery: others than jobs use it, too."""

import logging
from urllib.parse import quote, urlsplit, urlunsplit

from app.settings import Settings

logger = logging.getLogger(__name__)


def broker_url(settings: Settings) -> str:
    """Return BROKER_URL with its password. Raises ValueError when there is none."""
    if not settings.broker_url:
        raise ValueError("BROKER_URL is not set")
    parts = urlsplit(settings.broker_url)
    if settings.redis_password is None:
        return settings.broker_url
    password = quote(settings.redis_password.get_secret_value(), safe="")
    return urlunsplit(parts._replace(netloc=f":{password}@{parts.netloc}"))
