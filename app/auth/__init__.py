"""Auth: proving who one is, by password for a token, by token for a request."""

import logging

logger = logging.getLogger(__name__)
