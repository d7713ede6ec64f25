"""Migrations, shipped with the code they belong to. Each says of itself whether it is ``expand`` or ``contract``."""

import logging

logger = logging.getLogger(__name__)
