"""Tell whoever started this process that it can take work: sd_notify(3)."""

import logging
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)


def say_ready(environ: Mapping[str, str]) -> None:
    """Say READY=1 where NOTIFY_SOCKET leads; nothing when nobody asked for it."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"READY=1", address)
        except OSError as error:  # whoever asked is gone: that is no reason to do no jobs
            logger.warning("nobody heard READY=1: %s", error.strerror)
