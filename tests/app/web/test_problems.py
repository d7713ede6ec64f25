import json

import pytest

from app.errors import Conflict, NotAllowed, NotAuthenticated, NotFound, Refused
from app.web.problems import BadRequest, problem, problem_of


def test_a_problem_says_what_the_standard_wants() -> None:
    response = problem(404)
    assert response.content_type == "application/problem+json"
    content = json.loads(response.body)
    assert content == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address.",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("no"), 404),
        (Conflict("no"), 409),
        (NotAuthenticated("no"), 401),
        (NotAllowed("no"), 403),
        (Refused("no"), 400),
        (BadRequest(415, "no"), 415),
    ],
)
def test_each_refusal_has_its_status(error: Refused | BadRequest, status: int) -> None:
    response = problem_of(error)
    assert response.status == status
    assert json.loads(response.body)["detail"] == "no"
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


def test_faults_are_listed() -> None:
    faults = [{"parameter": "q", "detail": "missing"}]
    assert json.loads(problem_of(BadRequest(422, "no", faults)).body)["errors"] == faults


def test_a_status_nobody_registered_still_has_a_title() -> None:
    assert json.loads(problem(499).body)["title"] == "Error"
