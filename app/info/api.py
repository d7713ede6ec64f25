"""The index and the version."""

import logging

from app.about import NAME, TAGLINE, commit_of, installed_version
from app.database.schema import current_revision
from app.database.session import Session
from app.settings import Settings
from app.web.routes import Call, NoInput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)


class IndexOutput(Output):
    name: str
    tagline: str
    links: dict[str, str]


class VersionOutput(Output):
    """``schema_revision`` is that of the database; None where it was never migrated."""

    name: str
    version: str
    commit: str | None
    generation: str | None
    environment: str
    schema_revision: str | None


LINKS = {
    "search": "/api/v1/places?q=lisb",
    "nearest": "/api/v1/places/nearest?lat=48.86&lon=2.35",
    "reverse_geocode": "/api/v1/reverse-geocode?lat=48.86&lon=2.35",
    "version": "/version",
    "live": "/livez",
    "ready": "/readyz",
    "metrics": "/metrics",
}


def show_index(call: Call[NoInput]) -> IndexOutput:
    return IndexOutput(name=NAME, tagline=TAGLINE, links=LINKS)


def show_version(call: Call[NoInput]) -> VersionOutput:
    settings = call.get(Settings)
    version = settings.release_version or installed_version()
    return VersionOutput(
        name=NAME,
        version=version,
        commit=commit_of(version),
        generation=settings.release_generation or None,
        environment=settings.environment,
        schema_revision=current_revision(call.get(Session).reader),
    )


ROUTES: RouteTable = (
    Route(
        method="GET",
        path="/",
        name="index",
        summary="Say what this is and where to go on",
        permission=Permission.PUBLIC,
        input=NoInput,
        output=IndexOutput,
        endpoint=show_index,
    ),
    Route(
        method="GET",
        path="/version",
        name="version",
        summary="Say which release runs, and the schema it runs on",
        permission=Permission.PUBLIC,
        input=NoInput,
        output=VersionOutput,
        endpoint=show_version,
    ),
)
