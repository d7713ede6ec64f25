"""The route table: all that the application answers, apart from health."""

import logging

from app.auth import account_api as accounts
from app.auth import api as auth
from app.auth import second_factor_api as second_factors
from app.geolocation import api as geolocation
from app.info import api as info
from app.saved_places import api as saved_places
from app.users import admin_api as admin
from app.users import api as users
from app.web.description import described
from app.web.routes import RouteTable

logger = logging.getLogger(__name__)

ROUTES: RouteTable = described(
    (
        *info.ROUTES,
        *geolocation.ROUTES,
        *users.ROUTES,
        *admin.ROUTES,
        *auth.ROUTES,
        *accounts.ROUTES,
        *second_factors.ROUTES,
        *saved_places.ROUTES,
    )
)
