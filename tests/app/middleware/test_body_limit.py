import io

import pytest
from werkzeug.test import Client

from app.middleware.body_limit import BodyLimit
from app.web.messages import Response


@pytest.fixture
def client(inner) -> Client:
    def answer(environ):
        return Response(200, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))

    return Client(BodyLimit(inner(answer), limit=10))


@pytest.mark.parametrize(("length", "status"), [(0, 200), (10, 200), (11, 413), (5000, 413)])
def test_bodies_up_to_the_limit(client: Client, length: int, status: int) -> None:
    response = client.post("/", data=b"x" * length)
    assert response.status_code == status
    if status == 200:
        assert len(response.data) == length


@pytest.mark.parametrize(("length", "status"), [(10, 200), (11, 413)])
def test_bodies_of_unknown_length_are_measured(client: Client, length: int, status: int) -> None:
    response = client.post(
        "/", input_stream=io.BytesIO(b"x" * length), headers={"Transfer-Encoding": "chunked"}, content_length=None
    )
    assert response.status_code == status
    if status == 200:
        assert response.data == b"x" * length


def test_a_length_that_is_no_number_counts_as_none(client: Client) -> None:
    assert BodyLimit(client.application, 10).length({"CONTENT_LENGTH": "many"}) == 0
