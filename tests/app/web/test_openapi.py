from dataclasses import replace
from typing import Annotated, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import Field

from app.routes import ROUTES
from app.web.openapi import describe, documented, problem_statuses
from app.web.paging import Page, PageInput
from app.web.routes import BodyInput, Input, NoInput, NoOutput, Output, Permission, Route


class Thing(Output):
    number: int


class Things(Page[Thing]):
    """A page of things."""


class Change(BodyInput):
    thing_id: int
    words: Annotated[str, Field(max_length=9)]


class ThingInput(Input):
    thing_id: Annotated[int, Field(ge=1, description="Its number")]


def unused(call: Any) -> Output:
    raise AssertionError("describing calls nothing")


LIST = Route("GET", "/api/v1/things", "things.list", "List things", Permission.PUBLIC, PageInput, Things, unused)
SHOW = Route("GET", "/api/v1/things/{thing_id}", "things.show", "Show", Permission.SIGNED_IN, ThingInput, Thing, unused)
CHANGE = replace(SHOW, method="PATCH", name="things.change", input=Change)
REMOVE = replace(SHOW, method="DELETE", name="things.remove", output=NoOutput, status=204)
IMPORT = replace(LIST, method="POST", path="/api/v1/imports", name="import", input=NoInput, uploads=("text/csv",))
EXPORT = replace(SHOW, path="/api/v1/things/{thing_id}.csv", name="things.csv", media_types=("text/csv",))
TABLE = (LIST, SHOW, CHANGE, REMOVE, IMPORT, EXPORT)


def test_the_application_describes_itself_as_the_standard_wants() -> None:
    for routes in (TABLE, ROUTES):
        OpenAPIV31SpecValidator(describe(routes, "x", "X")).validate()


def test_every_endpoint_of_the_api_is_there_and_nothing_else() -> None:
    described = describe(ROUTES, "x", "X")["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert found == {(route.method, route.path) for route in documented(ROUTES)}
    assert len(found) >= 8
    assert all(path.startswith("/api/") for _, path in found)


def test_parameters_say_where_they_are_and_whether_they_are_needed() -> None:
    paths = describe(TABLE, "x", "X")["paths"]
    shown = {entry["name"]: entry for entry in paths[LIST.path]["get"]["parameters"]}
    assert shown["cursor"]["required"] is False
    assert shown["cursor"]["schema"] == {"maxLength": 1000, "type": "string"}
    assert shown["limit"]["schema"]["default"] == 20
    assert paths[SHOW.path]["get"]["parameters"][:1] == [
        {
            "name": "thing_id",
            "in": "path",
            "required": True,
            "description": "Its number",
            "schema": {"minimum": 1, "type": "integer"},
        }
    ]


def test_headers_that_mean_something_are_told() -> None:
    table = (replace(LIST, method="POST", idempotent=True), replace(REMOVE, guarded=True), SHOW)
    paths = describe(table, "x", "X")["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    found = {
        operation["operationId"]: [entry["name"] for entry in operation["parameters"] if entry["in"] == "header"]
        for operation in operations
    }
    assert found == {
        "things.list": ["Idempotency-Key"],
        "things.remove": ["If-Match"],
        "things.show": ["If-None-Match"],
    }


def test_what_is_in_the_path_is_not_in_the_body() -> None:
    operation = describe(TABLE, "x", "X")["paths"][CHANGE.path]["patch"]
    assert [entry["name"] for entry in operation["parameters"]] == ["thing_id"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert (list(schema["properties"]), schema["required"]) == (["words"], ["words"])
    assert schema["additionalProperties"] is False


def test_other_forms_than_json() -> None:
    paths = describe(TABLE, "x", "X")["paths"]
    assert set(paths[IMPORT.path]["post"]["requestBody"]["content"]) == {"text/csv"}
    assert set(paths[EXPORT.path]["get"]["responses"]["200"]["content"]) == {"text/csv", "application/json"}
    assert "content" not in paths[REMOVE.path]["delete"]["responses"]["204"]


@pytest.mark.parametrize(
    ("route", "statuses"),
    [
        (LIST, {400, 422, 429}),
        (SHOW, {400, 401, 403, 404, 422, 429}),
        (CHANGE, {400, 401, 403, 404, 409, 413, 415, 422, 429}),
        (REMOVE, {400, 401, 403, 404, 409, 422, 429}),
        (IMPORT, {400, 409, 413, 415, 429}),
        (replace(REMOVE, guarded=True), {400, 401, 403, 404, 409, 412, 422, 428, 429}),
        (replace(LIST, problems=(418,)), {400, 418, 422, 429}),
    ],
    ids=lambda value: value.name if isinstance(value, Route) else "",
)
def test_what_may_be_refused_follows_from_the_route(route: Route[Any], statuses: set[int]) -> None:
    assert set(problem_statuses(route)) == statuses | {503}


def test_models_of_one_name_are_told_apart() -> None:
    def other() -> type[Output]:
        class Thing(Output):
            word: str

        return Thing

    again = replace(SHOW, path="/api/v1/others/{thing_id}", name="others.show", output=other())
    paths = describe((SHOW, again), "x", "X")["paths"]
    references = [
        paths[route.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        for route in (SHOW, again)
    ]
    assert len(set(references)) == 2
