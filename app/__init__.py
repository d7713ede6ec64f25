"""Gazetteer: places, people and the way to find them.

Start reading at ``app/application.py`` (what a process is made of) and ``app/routes.py`` (what it answers).
"""

import logging

logger = logging.getLogger(__name__)
