import json

import pytest
from werkzeug.test import Client

from app.middleware.proxy import TrustedProxies
from app.web.messages import Response

FORGED_AND_TRUE = {
    "X-Forwarded-For": "6.6.6.6, 198.51.100.1, 192.0.2.2",
    "X-Forwarded-Proto": "ftp, https, http",
    "X-Forwarded-Host": "evil.example, shop.example, inner.example",
}


def seen(inner, count: int, headers: dict[str, str]) -> list[str]:
    def answer(environ):
        found = [environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]]
        return Response(200, json.dumps(found).encode())

    client = Client(TrustedProxies(inner(answer), count))
    return client.get("/", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.1"}).json


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, ["10.0.0.1", "http", "localhost"]),
        (1, ["192.0.2.2", "http", "inner.example"]),
        (2, ["198.51.100.1", "https", "shop.example"]),
        (4, ["10.0.0.1", "http", "localhost"]),
    ],
)
def test_as_many_proxies_are_believed_as_there_are(inner, count: int, expected: list[str]) -> None:
    assert seen(inner, count, FORGED_AND_TRUE) == expected


def test_a_scheme_that_is_none_is_not_believed(inner) -> None:
    assert seen(inner, 1, {"X-Forwarded-Proto": "javascript"})[1] == "http"
