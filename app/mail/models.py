"""A mail, as a plain value."""

import logging
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent to one address. Nothing of it is shown in ``repr``: it is personal, and may have a link in it."""

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)


class MailFailed(Exception):
    """A mail did not leave; the message says why and has no address in it, so it may be logged."""
