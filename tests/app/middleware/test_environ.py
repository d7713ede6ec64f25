from wsgiref.types import WSGIApplication

from werkzeug.test import Client

from app.middleware.environ import respond, status_line, watched
from app.web.messages import Response


def test_a_status_has_its_phrase() -> None:
    assert status_line(404) == "404 Not Found"


def test_head_gets_the_headers_of_get_without_the_body() -> None:
    def application(environ, start_response):
        return respond(Response(200, b"12345", headers={"X-A": "b"}), environ, start_response)

    get, head = Client(application).get("/"), Client(application).head("/")
    assert (get.data, head.data) == (b"12345", b"")
    assert get.headers == head.headers
    assert head.headers["Content-Length"] == "5"


def test_watching_sees_status_and_may_edit_headers(hello: WSGIApplication) -> None:
    seen: list[int] = []

    def application(environ, start_response):
        return watched(
            hello, environ, start_response, edit=lambda headers: headers.append(("X-A", "b")), started=seen.append
        )

    assert Client(application).get("/").headers["X-A"] == "b"
    assert seen == [200]
