"""Who looks at pages: what delivery has to know about them, whoever keeps sessions."""

import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Visitor(Protocol):
    """Somebody who has logged in."""

    @property
    def id(self) -> int:
        """The number under which logs know them."""
        ...

    @property
    def language(self) -> str | None:
        """The language they chose, or None."""
        ...

    @property
    def admin(self) -> bool:
        """Whether pages for admins are theirs to see."""
        ...


class Visit(Protocol):
    """Somebody, in one of their sessions."""

    @property
    def user(self) -> Visitor:
        """Who it is."""
        ...


class Visitors(Protocol):
    """Recognises visitors by the secret in their cookie."""

    def authenticate(self, secret: str) -> Visit:
        """Return whose session it is. Raises NotAuthenticated."""
        ...
