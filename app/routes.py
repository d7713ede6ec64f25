"""The route table: all that the application answers, apart from health."""

import logging

from app.geolocation import api as geolocation
from app.web.routes import RouteTable

logger = logging.getLogger(__name__)

ROUTES: RouteTable = geolocation.ROUTES
