"""Frameworks: each module mounts the route table on one. Nothing else may import a framework."""

import logging

logger = logging.getLogger(__name__)
