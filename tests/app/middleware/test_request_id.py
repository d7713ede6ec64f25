import pytest
from werkzeug.test import Client

from app.logs.context import request_id
from app.middleware.request_id import RequestId
from app.web.messages import Response


def test_every_request_gets_another_id(hello) -> None:
    client = Client(RequestId(hello))
    first, second = (client.get("/").headers["X-Request-ID"] for _ in range(2))
    assert len(first) == 32
    assert first != second


def test_the_id_is_known_inside_and_forgotten_outside(inner) -> None:
    seen: list[str | None] = []

    def answer(environ):
        seen.append(request_id.get())
        return Response(200, b"")

    response = Client(RequestId(inner(answer))).get("/")
    assert seen == [response.headers["X-Request-ID"]]
    assert request_id.get() is None


@pytest.mark.parametrize(
    ("given", "kept"), [("lb-42.A_z", True), ("", False), ("a b", False), ("x" * 65, False), ('"}{', False)]
)
def test_a_harmless_id_from_the_load_balancer_is_kept(hello, given: str, kept: bool) -> None:
    sent = Client(RequestId(hello)).get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert (sent == given) == kept
