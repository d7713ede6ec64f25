import pytest
from werkzeug.test import Client

from app.middleware.cors import Cors
from app.middleware.environ import respond
from app.web.messages import Response

OURS, OTHERS = "https://maps.example.org", "https://evil.example"


def api(environ, start_response):
    return respond(Response(200, b"{}", headers={"Vary": "Accept"}), environ, start_response)


@pytest.fixture
def client() -> Client:
    return Client(Cors(api, (OURS,)))


def preflight(client: Client, origin: str):
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}
    return client.options("/api/v1/x", headers=headers)


def test_a_page_of_ours_may_read_the_answer_and_its_headers(client: Client) -> None:
    answer = client.get("/api/v1/x", headers={"Origin": OURS})
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers.getlist("Vary") == ["Accept", "Origin"], "caches must not give it to others"


def test_a_page_of_ours_may_ask_with_any_method_of_the_api(client: Client) -> None:
    answer = preflight(client, OURS)
    assert (answer.status_code, answer.data) == (204, b"")
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "If-Match" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("origin", [OTHERS, "null", "", f"{OURS}.evil.example", "https://maps.example.org:8443"])
def test_others_may_not(client: Client, origin: str) -> None:
    for answer in (client.get("/api/v1/x", headers={"Origin": origin}), preflight(client, origin)):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert "Origin" in answer.headers.getlist("Vary")


def test_cookies_are_never_sent_along(client: Client) -> None:
    assert "Access-Control-Allow-Credentials" not in preflight(client, OURS).headers
    assert preflight(Client(Cors(api, ("*",))), OTHERS).headers["Access-Control-Allow-Origin"] == "*"


def test_pages_and_sites_without_the_variable_are_left_alone(client: Client) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/", headers={"Origin": OURS}).headers
    assert "Origin" not in preflight(Client(Cors(api, ())), OURS).headers.getlist("Vary")


def test_options_without_a_preflight_is_the_applications(client: Client) -> None:
    assert client.options("/api/v1/x", headers={"Origin": OURS}).status_code == 200
