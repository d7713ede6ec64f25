"""Who this program is: its name, its tagline and its version."""

import importlib.metadata
import logging
import re

logger = logging.getLogger(__name__)

NAME = "gazetteer"
TAGLINE = "Places, and how far they are"


def installed_version() -> str:
    """Return the version of the installed distribution, or ``0+unknown`` in a checkout that was never installed."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


def commit_of(version: str) -> str | None:
    """Return the (short) commit that a version such as ``1.4.0+g1a2b3c4`` names, if it names one."""
    match = re.search(r"\+(?:.*\.)?g([0-9a-f]{7,40})\b", version)
    return match.group(1) if match else None
