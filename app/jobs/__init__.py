"""Work that no request waits for: what a job is, how one is asked for, and how it is done."""

import logging

logger = logging.getLogger(__name__)
