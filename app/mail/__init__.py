"""Mail: how it is written, and the port through which it leaves."""

import logging

logger = logging.getLogger(__name__)
