"""A Nominatim server of the tests' own, which answers, fails and hangs as it is told, over real HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import svcs

from app.components import build_registry
from app.errors import Unavailable
from app.geolocation import nominatim
from app.geolocation.answers import RememberingGeocoder
from app.geolocation.geocoding import Geocoder
from app.geolocation.models import Country, Location
from app.geolocation.nominatim import ATTEMPTS, NominatimGeocoder
from app.geolocation.nominatim import Server as Address
from app.settings import Settings
from tests.support.ports import free_ports

LISBON = {
    "place_id": 1,
    "lat": "38.7077507",
    "lon": "-9.1365919",
    "name": "Lisboa",
    "display_name": "Lisboa, Portugal",
    "address": {"city": "Lisboa", "country": "Portugal", "country_code": "pt"},
}
FOUND = Location("Lisboa", "Lisboa, Portugal", 38.7077507, -9.1365919, Country("PT", "Portugal"))


class Server(ThreadingHTTPServer):
    """Answers what is next in ``answers``, and with the last one from then on."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: list[Any] = [[LISBON]]
        self.released = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/base"

    def next(self) -> Any:
        """What to answer now."""
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        """Answer: bytes as they are, a number as that status, "hang" and "reset" as they say, else JSON."""
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append((parts.path, given, self.headers["User-Agent"]))
        answer = self.server.next()
        if answer == "hang":
            self.server.released.wait(60)
        if answer in ("hang", "reset"):
            self.close_connection = True
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def geocoder(server: Server, monkeypatch: pytest.MonkeyPatch) -> NominatimGeocoder:
    monkeypatch.setattr(nominatim, "PAUSE", 0)
    return NominatimGeocoder(Address(server.url, 30, "gazetteer/1"))


def test_words_are_asked_for_once_and_become_locations(server: Server, geocoder: NominatimGeocoder) -> None:
    assert geocoder.geocode("Lisboa, Graça", 3) == [FOUND]
    ((path, given, agent),) = server.asked
    assert (path, agent) == ("/base/search", "gazetteer/1")
    assert (given["q"], given["limit"], given["addressdetails"]) == ("Lisboa, Graça", "3", "1")


def test_positions_become_locations_with_their_distance(server: Server, geocoder: NominatimGeocoder) -> None:
    server.answers = [LISBON]
    found = geocoder.reverse(38.71, -9.13)
    assert found is not None
    assert (found.location, round(found.distance_km, 3)) == (FOUND, 0.624)
    assert server.asked[0][:2] == (
        "/base/reverse",
        {"lat": "38.71", "lon": "-9.13", "format": "json", "accept-language": "en", "addressdetails": "1"},
    )


def test_what_lacks_a_name_or_a_country_is_a_location_too(server: Server, geocoder: NominatimGeocoder) -> None:
    server.answers = [[{"lat": "0", "lon": "1", "display_name": "Somewhere \ud800, Sea"}]]
    assert geocoder.geocode("x", 5) == [Location("Somewhere ?", "Somewhere ?, Sea", 0, 1, None)]


def test_nothing_found_is_no_failure(server: Server, geocoder: NominatimGeocoder) -> None:
    server.answers = [[], {"error": "Unable to geocode"}]
    assert geocoder.geocode("nowhere", 5) == []
    assert geocoder.reverse(0, -30) is None
    assert len(server.asked) == 2


@pytest.mark.parametrize("first", [500, 502, 503, 504, "reset"])
def test_what_may_pass_is_tried_again(server: Server, geocoder: NominatimGeocoder, first: object) -> None:
    server.answers = [first, [LISBON]]
    assert geocoder.geocode("Lisboa", 5) == [FOUND]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (500, ATTEMPTS),
        ("reset", ATTEMPTS),
        (403, 1),
        (429, 1),
        (b"<html>", 1),
        ([{"lat": "x"}], 1),
        ([5], 1),
        ("text", 1),
        ([{"lat": "north", "lon": "1", "display_name": "x"}], 1),
    ],
)
def test_there_is_an_end_to_trying(
    server: Server, geocoder: NominatimGeocoder, answer: object, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [answer]
    with pytest.raises(Unavailable, match="does not answer"):
        geocoder.geocode("secret words", 5)
    assert len(server.asked) == times
    assert "secret words" not in caplog.text
    assert "the geocoder failed" in caplog.text


def test_a_server_that_hangs_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = ["hang"]
    with pytest.raises(Unavailable):
        NominatimGeocoder(Address(server.url, 0.1, "x")).reverse(1, 2)
    assert len(server.asked) == ATTEMPTS


def test_a_server_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        NominatimGeocoder(Address(f"http://127.0.0.1:{free_ports(1)[0]}", 5, "x")).geocode("x", 1)


def test_a_site_that_says_so_asks_the_server_and_remembers(environ: dict[str, str], server: Server) -> None:
    variables = {**environ, "GEOCODER": "nominatim", "NOMINATIM_URL": server.url}
    with build_registry(Settings.from_environ(variables)) as registry:
        for _ in range(2):
            with svcs.Container(registry) as components:
                geocoder = components.get(Geocoder)
                assert isinstance(geocoder, RememberingGeocoder)
                assert geocoder.geocode("Lisboa", 5) == [FOUND]
    assert len(server.asked) == 1
