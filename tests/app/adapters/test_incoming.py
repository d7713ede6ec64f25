import io

import pytest

from app.adapters.incoming import read_body, read_query, read_request
from app.web.problems import BadRequest


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {}),
        ("a=1&a=2&b=", {"a": ["1", "2"], "b": [""]}),
        ("q=%C3%A9+%2B", {"q": ["é +"]}),
        ("q=\xc3\xa9", {"q": ["é"]}),
        ("q=%ff\xff", {"q": ["\ufffd\ufffd"]}),
        ("q=1;x=2", {"q": ["1;x=2"]}),
        ("q=a,b", {"q": ["a,b"]}),
        ("q", {"q": [""]}),
    ],
)
def test_queries_mean_what_browsers_mean(text: str, query: dict[str, list[str]]) -> None:
    assert read_query(text) == query


def test_headers_arrive_in_lower_case() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_IF_NONE_MATCH": "*", "CONTENT_TYPE": "text/csv", "wsgi.input": None}
    request = read_request(environ | {"REMOTE_ADDR": "192.0.2.1"}, {"id": "1"}, with_body=False)
    assert request.headers == {"if-none-match": "*", "content-type": "text/csv"}
    assert (request.method, request.path, request.address, request.body) == ("GET", {"id": "1"}, "192.0.2.1", b"")


@pytest.mark.parametrize(
    ("length", "body"), [("3", b"abc"), ("2", b"ab"), ("", b""), ("0", b""), ("x", b""), ("-1", b"")]
)
def test_as_much_is_read_as_was_announced(length: str, body: bytes) -> None:
    assert read_body({"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"abc")}) == body


def test_half_a_body_is_refused() -> None:
    with pytest.raises(BadRequest, match="ended before"):
        read_body({"CONTENT_LENGTH": "4", "wsgi.input": io.BytesIO(b"abc")})
