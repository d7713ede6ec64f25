"""Read part of a TOML document into a model, and say every mistake at once, each with its place."""

import difflib
import json
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from deploy.toml_position import Document

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a table",
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "string_too_short": "text that is not empty",
    "too_short": "a list that is not empty",
}


class TomlModel(BaseModel):
    """A part of a TOML file: frozen, strict, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    elsewhere: ClassVar[dict[str, str]] = {}  # keys that one would look for here, and where else that is said


class Mistakes(ValueError):
    """What is wrong further down, found by looking at several keys: path of a key to what was expected there."""

    def __init__(self, found: Mapping[tuple[str, ...], str]) -> None:
        super().__init__("; ".join(f"{'.'.join(path)}: {text}" for path, text in found.items()))
        self.found = dict(found)


def read(model: type[Model], document: Document, *path: str) -> tuple[Model | None, list[str]]:
    """Answer the model of the table at `path`, or None and each mistake: `file:line:column: key: expected ..., got`."""
    table = document.get(*path)
    if not isinstance(table, dict):
        name = ".".join(path)
        came = "there is none" if table is None else f"got {shown(table)}"
        return None, [f"{document.where(*path)}: expected a table [{name}], {came}"]
    try:
        # JSON, because there a list may become a tuple while everything else stays strict.
        return model.model_validate_json(json.dumps(table, default=str)), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        details = [each for detail in details for each in _each(detail, table)]
        return None, [_problem(model, document, path, detail) for detail in _in_order(details, document, path)]


def nearest(word: str, known: list[str]) -> str:
    """Answer `; did you mean ...?` for a word that is nearly right, or what there is."""
    if close := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def shown(value: Any) -> str:
    """Show a TOML value as it would be written, shortened."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _each(detail: ErrorDetails, table: Mapping[str, Any]) -> Iterator[ErrorDetails]:
    """Tell mistakes that were found together one by one, each where it is."""
    error = detail.get("ctx", {}).get("error")
    if not isinstance(error, Mistakes):
        yield detail
        return
    for place, text in error.found.items():
        value: Any = table
        for key in (*detail["loc"], *place):
            value = value.get(key) if isinstance(value, Mapping) else None
        changed: Any = {**detail, "loc": (*detail["loc"], *place), "input": value, "ctx": {"error": text}}
        yield changed


def _in_order(details: list[ErrorDetails], document: Document, path: tuple[str, ...]) -> list[ErrorDetails]:
    return sorted(details, key=lambda detail: document.place(*path, *detail["loc"]))


def _problem(model: type[BaseModel], document: Document, path: tuple[str, ...], detail: ErrorDetails) -> str:
    """Say one mistake."""
    loc = detail["loc"]
    key = _dotted((*path, *loc))
    where = document.where(*path, *loc)
    match detail["type"]:
        case "missing":
            return f"{where}: {key}: expected, but it is missing"
        case "extra_forbidden":
            if told := next(
                (each.elsewhere[loc[-1]] for each in _at(model, loc[:-1]) if loc[-1] in each.elsewhere), ""
            ):
                return f"{where}: {key}: {told}"
            return f"{where}: {key}: unknown key{nearest(str(loc[-1]), sorted(known_keys(model, loc[:-1])))}"
        case "value_error":
            return f"{where}: {key}: {detail['ctx']['error']}, got {shown(detail['input'])}"
        case kind:
            wanted = _EXPECTED.get(kind) or _wanted(detail["msg"])
            return f"{where}: {key}: expected {wanted}, got {shown(detail['input'])}"


def _wanted(message: str) -> str:
    for start in ("Input should be a valid ", "Input should be ", "Value should have ", "String should "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def known_keys(model: type[BaseModel], loc: tuple[str | int, ...] = ()) -> set[str]:
    """Answer the keys that the table at `loc` inside the model may have."""
    return {field.alias or name for each in _at(model, loc) for name, field in each.model_fields.items()}


def _at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[Any]:
    """Answer the models of the table at `loc` inside a model."""
    models = [model]
    for part in loc:
        models = [inner for outer in models for inner in _models(_annotation(outer, part))]
    return models


def _annotation(model: Any, part: str | int) -> Any:
    """Answer the type of a field; an index or a free key stays inside the same type."""
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return field.annotation
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find the models in a type such as `tuple[Probe, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple, list, dict):
        for argument in get_args(annotation):
            yield from _models(argument)
