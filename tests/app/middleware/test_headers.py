from werkzeug.test import Client

from app.middleware.headers import ALWAYS, SecurityHeaders
from app.web.messages import Response


def test_every_response_is_protected(hello) -> None:
    headers = Client(SecurityHeaders(hello)).get("/").headers
    assert {name: headers[name] for name in ALWAYS} == ALWAYS
    assert "Strict-Transport-Security" not in headers


def test_hsts_only_behind_tls(hello) -> None:
    headers = Client(SecurityHeaders(hello)).get("/", base_url="https://example.org").headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_what_a_response_brings_stays(inner) -> None:
    app = inner(lambda environ: Response(200, b"", headers={"x-frame-options": "SAMEORIGIN"}))
    assert Client(SecurityHeaders(app)).get("/").headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]


def test_answers_to_a_token_are_never_kept(hello) -> None:
    client = Client(SecurityHeaders(hello))
    assert "Cache-Control" not in client.get("/").headers
    assert client.get("/", headers={"Authorization": "Bearer x"}).headers["Cache-Control"] == "no-store"
