"""The endpoints of saved places: lists, and the places in them."""

import logging
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from app.saved_places import csv_files, geojson_files
from app.saved_places.imports_api import ROUTES as IMPORT_ROUTES
from app.saved_places.models import PlaceChange, PlaceList, SavedPlace
from app.saved_places.services import SavedPlaces
from app.saved_places.utils import LONGEST_NAME, LONGEST_NOTE, checked_note, draft
from app.users.models import User
from app.web.conditional import version_tag, wanted_version
from app.web.paging import Cursors, Page, PageInput
from app.web.routes import (
    BodyInput,
    Call,
    Content,
    Input,
    Line,
    NoOutput,
    Output,
    Permission,
    Route,
    RouteTable,
)

logger = logging.getLogger(__name__)

LISTS = "/api/v1/place-lists"
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
ListName = Annotated[Line, Field(min_length=1, max_length=100, pattern=r"\S")]
PlaceName = Annotated[Line, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"\S")]
Note = Annotated[str, Field(max_length=LONGEST_NOTE), AfterValidator(checked_note)]


class ListInput(Input):
    list_id: Id


class CreateListInput(BodyInput):
    name: ListName
    description: Note = ""


class ChangeListInput(BodyInput):
    list_id: Id
    name: ListName | None = None
    description: Note | None = None


class PlaceListOutput(Output):
    """``size`` is the number of places; ``version`` counts changes of name and description."""

    id: int
    name: str
    description: str
    size: int
    version: int
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, found: PlaceList) -> Self:
        return cls(**{name: getattr(found, name) for name in cls.model_fields})

    def entity_tag(self) -> str:
        """Return another tag for each change of the list, or of what is in it."""
        return version_tag(self.version, self.size, int(self.changed_at.timestamp() * 1_000_000))


class PlaceListPage(Page[PlaceListOutput]):
    """A page of lists."""


class PlacesInput(PageInput):
    list_id: Id


class SavedPlaceInput(Input):
    list_id: Id
    saved_id: Id


class SavePlaceInput(BodyInput):
    """Either the id of a place that is known here, or name and position of any."""

    list_id: Id
    place_id: Id | None = None
    name: PlaceName | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    note: Note = ""

    @model_validator(mode="after")
    def one_or_the_other(self) -> Self:
        """Raise ValueError unless there is enough to know the place by."""
        given = [value is not None for value in (self.name, self.latitude, self.longitude)]
        if not all(given) and (any(given) or self.place_id is None):
            raise ValueError("expected place_id, or name, latitude and longitude")
        return self


class ChangePlaceInput(BodyInput):
    """What is left out stays as it is; ``ordinal`` moves the place to where another one stands now."""

    list_id: Id
    saved_id: Id
    name: PlaceName | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    note: Note | None = None
    ordinal: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class SavedPlaceOutput(Output):
    """``ordinal`` is where it stands in its list, from 1; ``place_id`` the place known here that it was made from."""

    id: int
    list_id: int
    ordinal: int
    name: str
    note: str
    latitude: float
    longitude: float
    place_id: int | None
    version: int
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, found: SavedPlace) -> Self:
        return cls(**{name: getattr(found, name) for name in cls.model_fields})

    def entity_tag(self) -> str:
        """Return another tag for each change, and when others moving have moved it."""
        return version_tag(self.version, self.ordinal)


class SavedPlacePage(Page[SavedPlaceOutput]):
    """A page of a list's places, in their order."""


def owner_of(call: Call[Any]) -> int:
    """Return the id of whoever calls."""
    return call.signed_in(User).id


def list_lists(call: Call[PageInput]) -> PlaceListPage:
    pager = call.get(Cursors).pager("place-lists.list", call.input)
    found = call.get(SavedPlaces).lists(owner_of(call), pager.after, pager.fetch)
    return pager.page(PlaceListPage, found, key=lambda one: (one.id,), show=PlaceListOutput.of)


def create_list(call: Call[CreateListInput]) -> PlaceListOutput:
    made = call.get(SavedPlaces).create_list(owner_of(call), call.input.name, call.input.description)
    return PlaceListOutput.of(made)


def show_list(call: Call[ListInput]) -> PlaceListOutput:
    return PlaceListOutput.of(call.get(SavedPlaces).get_list(owner_of(call), call.input.list_id))


def change_list(call: Call[ChangeListInput]) -> PlaceListOutput:
    given, version = call.input, wanted_version(call.if_match)
    changed = call.get(SavedPlaces).change_list(
        owner_of(call), given.list_id, version, name=given.name, description=given.description
    )
    return PlaceListOutput.of(changed)


def remove_list(call: Call[ListInput]) -> NoOutput:
    call.get(SavedPlaces).remove_list(owner_of(call), call.input.list_id, wanted_version(call.if_match))
    return NoOutput()


def list_places(call: Call[PlacesInput]) -> SavedPlacePage:
    given = call.input
    pager = call.get(Cursors).pager("saved-places.list", given)
    found = call.get(SavedPlaces).places(owner_of(call), given.list_id, pager.after, pager.fetch)
    return pager.page(SavedPlacePage, found, key=lambda one: (one.ordinal,), show=SavedPlaceOutput.of)


def save_place(call: Call[SavePlaceInput]) -> SavedPlaceOutput:
    given, saved, owner = call.input, call.get(SavedPlaces), owner_of(call)
    if given.name is None or given.latitude is None or given.longitude is None:
        assert given.place_id is not None
        return SavedPlaceOutput.of(saved.save_known(owner, given.list_id, given.place_id, given.note))
    wanted = draft(given.name, given.latitude, given.longitude, given.note, given.place_id)
    return SavedPlaceOutput.of(saved.save(owner, given.list_id, wanted))


def show_place(call: Call[SavedPlaceInput]) -> SavedPlaceOutput:
    given = call.input
    return SavedPlaceOutput.of(call.get(SavedPlaces).get(owner_of(call), given.list_id, given.saved_id))


def change_place(call: Call[ChangePlaceInput]) -> SavedPlaceOutput:
    given, version = call.input, wanted_version(call.if_match)
    wanted = PlaceChange(given.name, given.latitude, given.longitude, given.note, given.ordinal)
    changed = call.get(SavedPlaces).change(owner_of(call), given.list_id, given.saved_id, version, wanted)
    return SavedPlaceOutput.of(changed)


def remove_place(call: Call[SavedPlaceInput]) -> NoOutput:
    given, version = call.input, wanted_version(call.if_match)
    call.get(SavedPlaces).remove(owner_of(call), given.list_id, given.saved_id, version)
    return NoOutput()


def export_csv(call: Call[ListInput]) -> Content:
    found = call.get(SavedPlaces).all_places(owner_of(call), call.input.list_id)
    return Content(csv_files.write_csv(found), csv_files.MEDIA_TYPE, "places.csv")


def export_geojson(call: Call[ListInput]) -> Content:
    found = call.get(SavedPlaces).all_places(owner_of(call), call.input.list_id)
    return Content(geojson_files.write_geojson(found), geojson_files.MEDIA_TYPE, "places.geojson")


LIST_ROUTES: RouteTable = (
    Route(
        method="GET",
        path=LISTS,
        name="place-lists.list",
        summary="List your lists of places",
        permission=Permission.SIGNED_IN,
        input=PageInput,
        output=PlaceListPage,
        endpoint=list_lists,
    ),
    Route(
        method="POST",
        path=LISTS,
        name="place-lists.create",
        idempotent=True,
        summary="Create a list of places",
        permission=Permission.SIGNED_IN,
        input=CreateListInput,
        output=PlaceListOutput,
        endpoint=create_list,
        status=201,
        location=lambda made: f"{LISTS}/{made.id}",
    ),
    Route(
        method="GET",
        path=f"{LISTS}/{{list_id}}",
        name="place-lists.show",
        summary="Show one of your lists",
        permission=Permission.SIGNED_IN,
        input=ListInput,
        output=PlaceListOutput,
        endpoint=show_list,
    ),
    Route(
        method="PATCH",
        path=f"{LISTS}/{{list_id}}",
        name="place-lists.change",
        summary="Give a list another name or description",
        permission=Permission.SIGNED_IN,
        input=ChangeListInput,
        output=PlaceListOutput,
        endpoint=change_list,
        guarded=True,
    ),
    Route(
        method="DELETE",
        path=f"{LISTS}/{{list_id}}",
        name="place-lists.remove",
        summary="Remove a list with all that is in it",
        permission=Permission.SIGNED_IN,
        input=ListInput,
        output=NoOutput,
        endpoint=remove_list,
        status=204,
        guarded=True,
    ),
)

PLACE_ROUTES: RouteTable = (
    Route(
        method="GET",
        path=f"{LISTS}/{{list_id}}/places",
        name="saved-places.list",
        summary="List the places in a list, in their order",
        permission=Permission.SIGNED_IN,
        input=PlacesInput,
        output=SavedPlacePage,
        endpoint=list_places,
    ),
    Route(
        method="POST",
        path=f"{LISTS}/{{list_id}}/places",
        name="saved-places.create",
        idempotent=True,
        summary="Put a place at the end of a list",
        permission=Permission.SIGNED_IN,
        input=SavePlaceInput,
        output=SavedPlaceOutput,
        endpoint=save_place,
        status=201,
        location=lambda made: f"{LISTS}/{made.list_id}/places/{made.id}",
    ),
    Route(
        method="GET",
        path=f"{LISTS}/{{list_id}}/places.csv",
        name="saved-places.csv",
        summary="Export a list as CSV",
        permission=Permission.SIGNED_IN,
        input=ListInput,
        output=NoOutput,
        endpoint=export_csv,
        media_types=(csv_files.MEDIA_TYPE,),
    ),
    Route(
        method="GET",
        path=f"{LISTS}/{{list_id}}/places.geojson",
        name="saved-places.geojson",
        summary="Export a list as GeoJSON",
        permission=Permission.SIGNED_IN,
        input=ListInput,
        output=NoOutput,
        endpoint=export_geojson,
        media_types=(geojson_files.MEDIA_TYPE,),
    ),
    Route(
        method="GET",
        path=f"{LISTS}/{{list_id}}/places/{{saved_id}}",
        name="saved-places.show",
        summary="Show a place in a list",
        permission=Permission.SIGNED_IN,
        input=SavedPlaceInput,
        output=SavedPlaceOutput,
        endpoint=show_place,
    ),
    Route(
        method="PATCH",
        path=f"{LISTS}/{{list_id}}/places/{{saved_id}}",
        name="saved-places.change",
        summary="Change a place in a list, or move it",
        permission=Permission.SIGNED_IN,
        input=ChangePlaceInput,
        output=SavedPlaceOutput,
        endpoint=change_place,
        guarded=True,
    ),
    Route(
        method="DELETE",
        path=f"{LISTS}/{{list_id}}/places/{{saved_id}}",
        name="saved-places.remove",
        summary="Take a place out of a list",
        permission=Permission.SIGNED_IN,
        input=SavedPlaceInput,
        output=NoOutput,
        endpoint=remove_place,
        status=204,
        guarded=True,
    ),
)

ROUTES: RouteTable = (*LIST_ROUTES, *PLACE_ROUTES, *IMPORT_ROUTES)
