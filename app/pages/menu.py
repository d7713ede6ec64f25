"""The menu: one table, of which each visitor sees what is for them."""

import logging
from dataclasses import dataclass

import flask

from app.languages import lazy_gettext
from app.pages.visitors import visitor

logger = logging.getLogger(__name__)

ANYBODY, SIGNED_OUT, SIGNED_IN, ADMIN = "anybody", "signed out", "signed in", "admin"

ENTRIES = (
    ("places.search", lazy_gettext("Search"), ANYBODY),
    ("places.nearest", lazy_gettext("Nearest"), ANYBODY),
    ("saved_places.lists", lazy_gettext("Saved"), SIGNED_IN),
    ("users.search", lazy_gettext("Users"), ADMIN),
    ("account.show", lazy_gettext("Account"), SIGNED_IN),
    ("auth.log_in", lazy_gettext("Log in"), SIGNED_OUT),
    ("letters.sign_up", lazy_gettext("Sign up"), SIGNED_OUT),
)
"""Endpoint, label, and who is shown it."""


SECTIONS = {
    "saved_places.lists": ("saved_places", "imports"),
    "account.show": ("account", "second_factor"),
    "users.search": ("users",),
}
"""Whose pages belong to which entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A link of the menu."""

    label: str
    address: str
    here: str
    """What ``aria-current`` says: ``page``, ``true`` for a page that belongs to it, or nothing."""


def menu() -> list[Entry]:
    """Return what this visitor is shown."""
    who = kinds()
    return [
        Entry(str(label), flask.url_for(endpoint), place_of(endpoint))
        for endpoint, label, for_whom in ENTRIES
        if for_whom in who and endpoint in flask.current_app.view_functions
    ]


def place_of(endpoint: str) -> str:
    """Say whether the visitor is on a page of the menu, or on one that belongs to it."""
    if flask.request.endpoint == endpoint:
        return "page"
    return "true" if flask.request.blueprint in SECTIONS.get(endpoint, ()) else ""


def kinds() -> set[str]:
    """Return what the visitor counts as."""
    user = visitor()
    if user is None:
        return {ANYBODY, SIGNED_OUT}
    return {ANYBODY, SIGNED_IN, *([ADMIN] if user.admin else [])}
