"""What use cases refuse, in the words of the domain. Delivery decides what each means in HTTP or on a terminal."""

import logging

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The request was understood and can't be done; the message is for whoever asked."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """It contradicts what is already there."""


class Stale(Conflict):
    """It has been changed since whoever asks looked at it."""


class Invalid(Refused):
    """What was given can't be used."""


class NotAuthenticated(Refused):
    """Nobody has proved who they are."""


class NotAllowed(Refused):
    """Whoever asks is known and may not do this."""


class Unavailable(Refused):
    """Somebody else is needed for it, and does not answer."""
