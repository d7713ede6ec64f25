"""Whether a migration breaks the release that is running, found out on a scratch copy of the schema before it runs."""

import logging

logger = logging.getLogger(__name__)
