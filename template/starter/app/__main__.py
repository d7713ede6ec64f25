"""``python -m app run`` serves from a checkout, for development."""

from __future__ import annotations

import os
import secrets
import sys

from app import settings
from app.application import create_app


def main() -> int:
    """Serve until it is interrupted."""
    if sys.argv[1:] != ["run"]:
        sys.stderr.write("usage: python -m app run\n")
        return 2
    create_app(settings.Settings(secrets.token_urlsafe())).run(port=int(os.environ.get("PORT", "5000")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
