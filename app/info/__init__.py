"""Information about the program itself."""

import logging

logger = logging.getLogger(__name__)
