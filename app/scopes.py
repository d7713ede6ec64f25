"""What an API token may be used for."""

import enum
import logging

logger = logging.getLogger(__name__)


class Scope(enum.StrEnum):
    """One kind of use. None implies another; ``ADMIN`` is worth something to an admin only."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
