"""What every request passes through, as plain WSGI: the same for each framework. ``stack.py`` has the order."""

import logging

logger = logging.getLogger(__name__)
