import pytest
from werkzeug.test import Client

from app.middleware.hosts import AllowedHosts, allows, host_name

ALLOWED = ("places.example", ".cdn.example", "[::1]")


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.b:80", "a.b"), ("A.B", "a.b"), ("a.b.", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_the_name_without_port(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("places.example", True),
        ("PLACES.example:8080", True),
        ("cdn.example", True),
        ("a.b.cdn.example", True),
        ("[::1]:8000", True),
        ("evilcdn.example", False),
        ("places.example.evil", False),
        ("places.example@evil", False),
        ("", False),
    ],
)
def test_only_our_hosts(host: str, allowed: bool) -> None:
    assert allows(ALLOWED, host) == allowed


def test_any_host_may_be_allowed() -> None:
    assert allows(("*",), "whatever")


def test_others_get_a_problem(hello) -> None:
    client = Client(AllowedHosts(hello, ALLOWED))
    assert client.get("/", base_url="http://places.example").status_code == 200
    refused = client.get("/", base_url="http://evil.example")
    assert (refused.status_code, refused.mimetype) == (400, "application/problem+json")
    assert "evil" not in refused.text
