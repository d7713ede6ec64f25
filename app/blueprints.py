"""The table of pages: all that the application shows in a browser. What it tells programs is in ``app/routes.py``."""

import logging

import flask

from app.auth import account_views, letter_views, second_factor_views
from app.auth import views as auth
from app.geolocation import views as geolocation
from app.saved_places import import_views
from app.saved_places import views as saved_places
from app.users import views as users

logger = logging.getLogger(__name__)

BLUEPRINTS: tuple[flask.Blueprint, ...] = (
    geolocation.blueprint,
    auth.blueprint,
    letter_views.blueprint,
    account_views.blueprint,
    second_factor_views.blueprint,
    saved_places.blueprint,
    import_views.blueprint,
    users.blueprint,
)
