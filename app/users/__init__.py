"""Users: who may sign in."""

import logging

logger = logging.getLogger(__name__)
