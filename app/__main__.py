"""``python -m app``: the same program as the ``gazetteer`` command."""

import logging

from app.cli import main

logger = logging.getLogger(__name__)

if __name__ == "__main__":
    main()
