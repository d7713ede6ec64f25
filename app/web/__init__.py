"""Delivery over HTTP without a framework: routes, dispatch, problem details. Adapters mount it on a framework."""

import logging

logger = logging.getLogger(__name__)
