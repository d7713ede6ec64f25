"""What users have to say to authentication, which knows them and not the other way round."""

import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Access(Protocol):
    """Ends what somebody got in with. The caller commits."""

    def end(self, user_id: int) -> None:
        """End every session, API token and link of a user."""
        ...

    def end_links(self, user_id: int) -> None:
        """Make the links in letters to a user useless."""
        ...


class NoAccess:
    """For tests: it only remembers."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.links_ended: list[int] = []

    def end(self, user_id: int) -> None:
        """Remember."""
        self.ended.append(user_id)

    def end_links(self, user_id: int) -> None:
        """Remember."""
        self.links_ended.append(user_id)
