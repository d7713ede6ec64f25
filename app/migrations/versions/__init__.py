"""One file per revision, named after it."""

import logging

logger = logging.getLogger(__name__)
