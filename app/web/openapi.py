"""The route table as an OpenAPI 3.1 document: nothing is said twice, so nothing can differ."""

import logging
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from app.web.problems import CONTENT_TYPE
from app.web.routes import Input, NoOutput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

API = "/api/"
SCHEMAS = "#/components/schemas/"
Schema = dict[str, Any]
Model = type[Input] | type[Output]

PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person."},
        "errors": {
            "type": "array",
            "description": "Each fault of the input.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "parameter": {"type": "string", "description": "Its name in path or query."},
                    "pointer": {"type": "string", "description": "Where it is in the body (RFC 6901)."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
VERSION = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of what you have seen, so that nobody else's change is lost; * for whatever it is by now",
    "schema": {"type": "string"},
}
TOKEN = {"type": "http", "scheme": "bearer", "description": "An API token, as logging in returns it."}


class Bare(GenerateJsonSchema):
    """Schemas without titles: each would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def documented(routes: RouteTable) -> RouteTable:
    """Return the routes that clients are told about."""
    return tuple(route for route in routes if route.path.startswith(API) and route.documented)


class Schemas:
    """The schema of every model of some routes. Two models may have the same name: then theirs are longer here."""

    def __init__(self, routes: RouteTable) -> None:
        wanted: dict[tuple[Model, JsonSchemaMode], None] = {}
        for route in routes:
            wanted[route.input, "validation"] = None
            wanted[route.output, "serialization"] = None
        template = SCHEMAS + "{model}"
        references, definitions = models_json_schema(list(wanted), ref_template=template, schema_generator=Bare)
        self.by_name: dict[str, Schema] = definitions["$defs"]
        self.names = {model: found["$ref"].removeprefix(SCHEMAS) for (model, _), found in references.items()}
        for schema in self.by_name.values():
            schema.pop("title", None)

    def of(self, model: Model) -> Schema:
        """Return a model's schema."""
        return self.by_name[self.names[model]]

    def reference(self, model: Model) -> Schema:
        """Return a schema that leads to a model's."""
        return {"$ref": SCHEMAS + self.names[model]}

    def used_in(self, part: Any) -> dict[str, Schema]:
        """Return the schemas that a part of the document needs, and those that these need, by name."""
        found: set[str] = set()
        waiting = [part]
        while waiting:
            current = waiting.pop()
            if isinstance(current, list):
                waiting += current
            elif isinstance(current, dict):
                name = str(current.get("$ref", "")).removeprefix(SCHEMAS)
                if name in self.by_name and name not in found:
                    found.add(name)
                    waiting.append(self.by_name[name])
                waiting += current.values()
        return {name: self.by_name[name] for name in sorted(found)}


def describe(routes: RouteTable, title: str, summary: str) -> dict[str, Any]:
    """Return the document for the routes of the API."""
    told = documented(routes)
    schemas = Schemas(told)
    paths: dict[str, dict[str, Any]] = {}
    for route in told:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "summary": summary, "version": "1"},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.used_in(paths), "Problem": PROBLEM},
            "securitySchemes": {"token": TOKEN},
        },
    }


def operation(route: Route[Any], schemas: Schemas) -> dict[str, Any]:
    """Describe one endpoint."""
    described: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.name.partition(".")[0]],
        "summary": route.summary,
        "parameters": [*parameters(route, schemas), *header_parameters(route)],
        "responses": responses(route, schemas),
        "security": [] if route.permission is Permission.PUBLIC else [{"token": []}],
    }
    body = request_body(route, schemas)
    if body:
        described["requestBody"] = body
    return described


def parameters(route: Route[Any], schemas: Schemas) -> list[dict[str, Any]]:
    """Describe what comes in the path and in the query."""
    schema = schemas.of(route.input)
    required = set(schema.get("required", ()))
    found = []
    for name, described in schema.get("properties", {}).items():
        in_path = name in route.path_parameters
        if route.has_json_body and not in_path:
            continue
        plain = without_null(described)
        entry = {"name": name, "in": "path" if in_path else "query", "required": in_path or name in required}
        if "description" in plain:
            entry["description"] = plain.pop("description")
        found.append({**entry, "schema": plain})
    if route.guarded:
        found.append(VERSION)
    return found


def header_parameters(route: Route[Any]) -> list[dict[str, Any]]:
    """Describe the headers that mean something in a request."""
    found = {}
    if route.method == "GET":
        found["If-None-Match"] = "Tags of what you have: answered by 304 if it is still one of them"
    if route.idempotent:
        found["Idempotency-Key"] = "A string of your own, in quotes: sent again, the request is not carried out again"
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in found.items()
    ]


def without_null(schema: Schema) -> Schema:
    """Return a parameter's schema: one that may be None is one that may be left out."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    if len(options) != 1:
        return rest
    rest.pop("anyOf")
    return {**options[0], **rest}


def request_body(route: Route[Any], schemas: Schemas) -> dict[str, Any]:
    """Describe the body, or return nothing where there is none."""
    if route.uploads:
        return {"required": True, "content": {kind: {} for kind in route.uploads}}
    if not route.has_json_body:
        return {}
    schema: Schema = schemas.reference(route.input)
    if route.path_parameters:
        whole = schemas.of(route.input)
        members = {name: value for name, value in whole["properties"].items() if name in route.body_members}
        schema = {**whole, "properties": members}
        schema["required"] = [name for name in whole.get("required", ()) if name in members]
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def responses(route: Route[Any], schemas: Schemas) -> dict[str, Any]:
    """Describe every response that may come."""
    content: dict[str, Any] = {kind: {} for kind in route.media_types}
    if route.output is not NoOutput:
        content["application/json"] = {"schema": schemas.reference(route.output)}
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if content and route.status != 204:
        success["content"] = content
    headers = success_headers(route)
    if headers:
        success["headers"] = headers
    found = {str(route.status): success}
    if route.method == "GET":
        found["304"] = {"description": "Not Modified: what If-None-Match names is still the same"}
    problem = {CONTENT_TYPE: {"schema": {"$ref": SCHEMAS + "Problem"}}}
    for status in problem_statuses(route):
        found[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    if parameters(route, schemas):
        found["414"] = {"description": "URI Too Long: from the server, before the application sees it; not a problem"}
    return found


def success_headers(route: Route[Any]) -> dict[str, Any]:
    """Describe the headers that mean something."""
    headers: dict[str, Any] = {}
    if route.location:
        headers["Location"] = {"description": "Address of what was created", "schema": {"type": "string"}}
    if route.method == "GET":
        headers["ETag"] = {"description": "Tag of this representation", "schema": {"type": "string"}}
    for name in ("RateLimit", "RateLimit-Policy"):
        headers[name] = {"description": "Where you stand, where there is a limit", "schema": {"type": "string"}}
    return headers


def problem_statuses(route: Route[Any]) -> list[int]:
    """Return the statuses of what may be refused: those that follow from what the route is, and its own."""
    found = {400, 503, *route.problems}
    if route.permission is not Permission.PUBLIC:
        found |= {401, 403}
    if route.path_parameters:
        found.add(404)
    if route.method != "GET":
        found.add(409)
    if route.guarded:
        found |= {412, 428}
    found.add(429)
    if route.has_body:
        found.add(413)
    if route.has_json_body or route.uploads:
        found.add(415)
    if route.input.model_fields:
        found.add(422)
    return sorted(found)
