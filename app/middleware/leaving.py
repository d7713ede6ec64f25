"""Is this process about to end? gunicorn knows and tells applications nothing, but its worker handles the signal."""

import logging
import signal

logger = logging.getLogger(__name__)

REASON = "this process is leaving: it answers what it has been asked, and takes nothing new"


def is_leaving() -> bool:
    """Say whether gunicorn's worker has been told to end. In any other process: no."""
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(worker, "alive", True) is False
