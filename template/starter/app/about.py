"""Who this program is."""

import importlib.metadata

NAME = "gazetteer"


def installed_version() -> str:
    """Return the version of the installed distribution, or ``0+unknown`` in a checkout that was never installed."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
