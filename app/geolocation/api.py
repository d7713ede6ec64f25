"""The endpoints of places."""

import logging
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from app.errors import NotFound
from app.geolocation.geocoding import Geocoder
from app.geolocation.models import Country, FoundNear, Location, Nearby, Place
from app.geolocation.services import Places
from app.geolocation.utils import Area
from app.web.paging import Cursors, Page, PageInput
from app.web.routes import BodyInput, Call, Input, NoInput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Limit = Annotated[int, Field(ge=1, le=50)]


def upper(code: str) -> str:
    """Return a code as it is kept."""
    return code.upper()


CountryCode = Annotated[
    str, Field(pattern="^[A-Za-z]{2}$", description="ISO 3166-1, two letters"), AfterValidator(upper)
]


class CountryOutput(Output):
    code: str
    name: str

    @classmethod
    def of(cls, country: Country) -> Self:
        return cls(code=country.code, name=country.name)


class CountryList(Output):
    items: list[CountryOutput]


class PlaceOutput(Output):
    """Positions are in degrees; ``part_of`` is the id of the city whose quarter the place is."""

    id: int
    name: str
    label: str
    country: CountryOutput
    admin1_code: str
    latitude: float
    longitude: float
    population: int
    timezone: str
    part_of: int | None

    @classmethod
    def of(cls, place: Place) -> Self:
        return cls(
            id=place.id,
            name=place.name,
            label=place.label,
            country=CountryOutput.of(place.country),
            admin1_code=place.admin1_code,
            latitude=place.latitude,
            longitude=place.longitude,
            population=place.population,
            timezone=place.timezone,
            part_of=place.part_of,
        )


class PlaceList(Output):
    items: list[PlaceOutput]


class PlacePage(Page[PlaceOutput]):
    """A page of places, largest first."""


class NearbyOutput(PlaceOutput):
    """A place and its distance from where was asked, in kilometres."""

    distance_km: float

    @classmethod
    def near(cls, found: Nearby) -> Self:
        place = PlaceOutput.of(found.place)
        return cls(**place.model_dump(), distance_km=round(found.distance_km, 3))


class NearbyList(Output):
    items: list[NearbyOutput]


class LocationOutput(Output):
    """What a geocoder has found. ``id`` and what follows from it is there for places that are known here, else null."""

    id: int | None
    name: str
    label: str
    country: CountryOutput | None
    admin1_code: str | None
    latitude: float
    longitude: float
    population: int | None
    timezone: str | None
    part_of: int | None

    @classmethod
    def of(cls, found: Location) -> Self:
        known = ("id", "admin1_code", "population", "timezone", "part_of")
        return cls(
            name=found.name,
            label=found.label,
            country=CountryOutput.of(found.country) if found.country else None,
            latitude=found.latitude,
            longitude=found.longitude,
            **{name: getattr(found.place, name, None) for name in known},
        )


class LocationList(Output):
    items: list[LocationOutput]


class FoundNearOutput(LocationOutput):
    """A location and its distance from where was asked, in kilometres."""

    distance_km: float

    @classmethod
    def near(cls, found: FoundNear) -> Self:
        location = LocationOutput.of(found.location)
        return cls(**location.model_dump(), distance_km=round(found.distance_km, 3))


class SearchInput(Input):
    q: Annotated[str, Field(min_length=1, max_length=200)]
    country: CountryCode | None = None
    limit: Limit = 10


class AreaInput(Input):
    """One with its west east of its east goes across the antimeridian."""

    south: Latitude
    west: Longitude
    north: Latitude
    east: Longitude
    country: CountryCode | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    @model_validator(mode="after")
    def right_way_up(self) -> Self:
        """Raise ValueError for a south that is north of the north."""
        if self.south > self.north:
            raise ValueError("south must not be north of north")
        return self


class CountryInput(Input):
    code: CountryCode


class CountryPlacesInput(PageInput):
    code: CountryCode


class PlaceInput(Input):
    place_id: Annotated[int, Field(ge=1, le=2**31 - 1)]


class NearestInput(Input):
    lat: Latitude
    lon: Longitude
    limit: Limit = 5


class GeocodeInput(BodyInput):
    query: Annotated[str, Field(min_length=1, max_length=200)]
    limit: Limit = 5


class ReverseGeocodeInput(Input):
    lat: Latitude
    lon: Longitude


def search_places(call: Call[SearchInput]) -> PlaceList:
    found = call.get(Places).search(call.input.q, call.input.limit, call.input.country)
    return PlaceList(items=[PlaceOutput.of(place) for place in found])


def show_place(call: Call[PlaceInput]) -> PlaceOutput:
    return PlaceOutput.of(call.get(Places).get(call.input.place_id))


def nearest_places(call: Call[NearestInput]) -> NearbyList:
    found = call.get(Places).nearest(call.input.lat, call.input.lon, call.input.limit)
    return NearbyList(items=[NearbyOutput.near(nearby) for nearby in found])


def places_within(call: Call[AreaInput]) -> PlaceList:
    given = call.input
    area = Area(given.south, given.west, given.north, given.east)
    found = call.get(Places).within(area, given.limit, given.country)
    return PlaceList(items=[PlaceOutput.of(place) for place in found])


def list_countries(call: Call[NoInput]) -> CountryList:
    return CountryList(items=[CountryOutput.of(country) for country in call.get(Places).countries()])


def show_country(call: Call[CountryInput]) -> CountryOutput:
    return CountryOutput.of(call.get(Places).country(call.input.code))


def places_in_country(call: Call[CountryPlacesInput]) -> PlacePage:
    given = call.input
    pager = call.get(Cursors).pager("countries.places", given)
    found = call.get(Places).in_country(given.code, pager.after, pager.fetch)
    return pager.page(PlacePage, found, key=lambda place: (place.population, place.id), show=PlaceOutput.of)


def geocode(call: Call[GeocodeInput]) -> LocationList:
    found = call.get(Geocoder).geocode(call.input.query, call.input.limit)
    return LocationList(items=[LocationOutput.of(location) for location in found])


def reverse_geocode(call: Call[ReverseGeocodeInput]) -> FoundNearOutput:
    found = call.get(Geocoder).reverse(call.input.lat, call.input.lon)
    if found is None:
        raise NotFound("There is no place near this position.")
    return FoundNearOutput.near(found)


ROUTES: RouteTable = (
    Route(
        method="GET",
        path="/api/v1/places",
        name="places.search",
        summary="Find places by the beginning of a name, in any language",
        permission=Permission.PUBLIC,
        input=SearchInput,
        output=PlaceList,
        endpoint=search_places,
    ),
    Route(
        method="GET",
        path="/api/v1/places/nearest",
        name="places.nearest",
        summary="Find the places nearest to a position",
        permission=Permission.PUBLIC,
        input=NearestInput,
        output=NearbyList,
        endpoint=nearest_places,
    ),
    Route(
        method="GET",
        path="/api/v1/places/within",
        name="places.within",
        summary="Find the largest places in a rectangle on the map",
        permission=Permission.PUBLIC,
        input=AreaInput,
        output=PlaceList,
        endpoint=places_within,
    ),
    Route(
        method="GET",
        path="/api/v1/places/{place_id}",
        name="places.show",
        summary="Show one place",
        permission=Permission.PUBLIC,
        input=PlaceInput,
        output=PlaceOutput,
        endpoint=show_place,
    ),
    Route(
        method="GET",
        path="/api/v1/countries",
        name="countries.list",
        summary="List all countries",
        permission=Permission.PUBLIC,
        input=NoInput,
        output=CountryList,
        endpoint=list_countries,
    ),
    Route(
        method="GET",
        path="/api/v1/countries/{code}",
        name="countries.show",
        summary="Show one country",
        permission=Permission.PUBLIC,
        input=CountryInput,
        output=CountryOutput,
        endpoint=show_country,
    ),
    Route(
        method="GET",
        path="/api/v1/countries/{code}/places",
        name="countries.places",
        summary="List a country's places, largest first",
        permission=Permission.PUBLIC,
        input=CountryPlacesInput,
        output=PlacePage,
        endpoint=places_in_country,
    ),
    Route(
        method="POST",
        path="/api/v1/geocode",
        name="geocode",
        summary="Turn words into places; changes nothing",
        permission=Permission.PUBLIC,
        input=GeocodeInput,
        output=LocationList,
        endpoint=geocode,
        problems=(503,),
    ),
    Route(
        method="GET",
        path="/api/v1/reverse-geocode",
        name="reverse-geocode",
        summary="Turn a position into the place it is in or near",
        permission=Permission.PUBLIC,
        input=ReverseGeocodeInput,
        output=FoundNearOutput,
        endpoint=reverse_geocode,
        problems=(404, 503),
    ),
)
