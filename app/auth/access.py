"""What somebody got in with, ended."""

import logging

from app.auth.letter_repository import LetterRepository
from app.auth.repository import TokenRepository
from app.auth.session_repository import SessionRepository

logger = logging.getLogger(__name__)


class KeptAccess:
    """Ends sessions, API tokens and links where they are kept. The caller commits."""

    def __init__(self, sessions: SessionRepository, tokens: TokenRepository, letters: LetterRepository) -> None:
        self.sessions = sessions
        self.tokens = tokens
        self.letters = letters

    def end(self, user_id: int) -> None:
        """End every session, API token and link of a user."""
        self.sessions.remove_all(user_id)
        self.tokens.remove_all(user_id)
        self.end_links(user_id)

    def end_links(self, user_id: int) -> None:
        """Make the links in letters to a user useless."""
        self.letters.remove_of(user_id)
