"""The documentation agrees with the code: tables, commands, paths and links."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings.table import variables
from deploy import environment
from deploy.contract_model import Adoption, Slipway
from deploy.environment_model import EnvironmentFile
from deploy.errors import Exit
from tests.support.repository import ROOT, fab_tasks, files, fleet_tasks, make_targets, named

PAGES = [path for path in files() if path.suffix == ".md"]
REFERENCE = ROOT / "docs" / "reference"
TOP = {path.relative_to(ROOT).parts[0] for path in files() if len(path.relative_to(ROOT).parts) > 1}
MADE = ("var/", "dist/")  # what is made by running, and not in the repository
DECISION = re.compile(r"# \d+\. .+")


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its fenced and indented code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def code(text: str) -> list[str]:
    """The code of a page: fenced blocks, indented blocks and inline spans, a line each."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    rest = prose(text)
    indented = [line.strip() for line in rest.splitlines() if line.startswith("    ")]
    inline = re.findall(r"`([^`\n]+)`", rest)
    return [line for block in fenced for line in block.splitlines()] + indented + inline


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, headings left out."""
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    heads = [line for line, after in zip(text.splitlines(), text.splitlines()[1:], strict=False) if after[:4] == "|---"]
    skipped = [[cell.strip() for cell in head.strip("|").split(" | ")] for head in heads]
    return [row for row in found if row not in skipped]


def documented(name: str) -> dict[str, list[str]]:
    """The rows of a reference page by the key in their first cell."""
    table = {row[0].strip("`"): row[1:] for row in rows((REFERENCE / name).read_text(encoding="utf-8"))}
    assert table
    return table


def keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Flatten a model into dotted keys: `hosts.<name>.listen`, `probe[].path`."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner, mark = inside(field.annotation)
        if inner is not None:
            found |= keys(inner, f"{key}{mark}.")
        else:
            found[f"{key}{mark}"] = field
    return found


def inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Answer the model in a type, and how its place is written: `.<name>` in a table, `[]` in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(arguments) == 1:
        return inside(arguments[0])
    if get_origin(annotation) is dict:
        model, _ = inside(arguments[1])
        return model, ".<name>" if model else ".<NAME>"
    if get_origin(annotation) is tuple and (model := inside(arguments[0])[0]):
        return model, "[]"
    return None, ""


def default(field: FieldInfo) -> str:
    """Write a field's default as TOML has it."""
    if field.is_required():
        return "required"
    value = field.default
    if value in (None, "") or value == {}:
        return "none"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def limits(field: FieldInfo) -> list[str]:
    """The numbers that bound a field; a lower bound of one or nothing need not be said."""
    found = []
    for bound in field.metadata:
        for kind, attribute in ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt")):
            if isinstance(bound, kind) and getattr(bound, attribute) not in (0, 1):
                found.append(f"{getattr(bound, attribute):g}")
    return found


@pytest.mark.parametrize(
    ("name", "model", "extra"),
    [
        ("environment.md", EnvironmentFile, set()),
        ("contract.md", Slipway, {"name", "version", "dependencies"}),
        ("slipway-toml.md", Adoption, set()),
    ],
)
def test_every_key_of_a_file_is_documented_with_its_default_and_limits(
    name: str, model: type[BaseModel], extra: set[str]
) -> None:
    table, known = documented(name), keys(model)
    strangers = {key for key, row in table.items() if len(row) == 2} - set(known)
    assert not strangers, "documented, but the code knows no such key"
    assert not set(known) - set(table), "known to the code, but not documented"
    assert extra <= set(table)
    for key, field in known.items():
        assert table[key][0] == default(field), f"{key}: the default differs"
        for limit in limits(field):
            assert re.search(rf"\b{limit}\b", table[key][1]), f"{key}: the page does not say the limit {limit}"


def test_every_exit_code_is_documented() -> None:
    table = {
        int(code): (row[0].strip("`"), row[1].replace("`", "")) for code, row in documented("exit-codes.md").items()
    }
    assert table == {int(code): (code.name, code.meaning.replace("`", "")) for code in Exit}


def test_every_variable_of_the_application_is_documented() -> None:
    wanted = {}
    for row in variables():
        shown = "none" if row["default"] is None else f"`{row['default']}`"
        if row["by_slipway"]:
            shown = "set by Slipway"
        if row["required"]:
            shown = "required, secret" if row["secret"] else "required"
        elif row["secret"]:
            shown = "none, secret"
        wanted[row["name"]] = [shown, f"{row['summary']}. Expected: {row['expected']}."]
    assert documented("variables.md") == wanted


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_on_a_page_exist(path: Path) -> None:
    """What a page tells a person to type is there."""
    for line in code(path.read_text(encoding="utf-8")):
        for target in re.findall(r"(?:^|[\s;&(])make ([a-z][a-z-]*)", line):
            assert target in make_targets(), f"make {target}"
        for task, where in re.findall(r"\bfab ([a-z_]+):([a-z<>]+|ENV)", line):
            assert task in fab_tasks(), f"fab {task}"
            assert where in {*environment.names(), "<env>", "ENV"}, f"fab {task}:{where}"
        for task in re.findall(r"\bfab (fleet\.[a-z]+)", line):
            assert task in fleet_tasks(), f"fab {task}"


def test_every_make_target_is_explained() -> None:
    told = {t for p in PAGES for line in code(p.read_text()) for t in re.findall(r"\bmake ([a-z][a-z-]*)", line)}
    assert {target for target, about in make_targets().items() if about} - told == set()


@pytest.mark.parametrize("task", fab_tasks())
def test_every_task_is_in_the_operations_guide(task: str) -> None:
    assert f"fab {task}:local" in page("docs/operations.md")


@pytest.mark.parametrize("task", fleet_tasks())
def test_every_task_for_machines_is_in_both_guides(task: str) -> None:
    assert f"fab {task}" in page("docs/operations.md")
    assert f"fab {task}" in page("docs/fleet.md")


def paths_named(text: str) -> set[str]:
    """Repository paths in a page's code spans, such as `deploy/plan.py`; patterns and placeholders are not."""
    spans = [span for line in re.findall(r"`([^`\n]+)`", prose(text)) for span in line.split()]
    spans += [word for line in text.splitlines() if line.startswith("    ") for word in line.split()[:1]]
    candidates = {span.rstrip(".,:;") for span in spans if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*/?[.,:;]?", span)}
    return {c for c in candidates if "/" in c and c.partition("/")[0] in TOP}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_paths_on_a_page_exist(path: Path) -> None:
    missing = [p for p in paths_named(path.read_text(encoding="utf-8")) if not (ROOT / p).exists()]
    assert not missing


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_on_a_page_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        assert not target.startswith("/"), f"{link}: expected a path relative to the page"
        to = (path.parent / target).resolve() if target else path
        assert to.exists(), link
        if anchor:
            assert anchor in anchors(to), f"{link}: no such heading"


def anchors(path: Path) -> set[str]:
    """The names that headings get, as the common Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_lines_of_prose_are_readable_in_a_terminal(path: Path) -> None:
    text = prose(path.read_text()).replace("gazetteer", "*" * 9)  # a project may have a longer name
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    long = [line for line in long if not line.startswith("    ") and "](" not in line]
    assert not long if path != REFERENCE / "agent.md" else True


def test_every_fault_names_tests_that_there_are() -> None:
    rows = [
        line for line in page("docs/faults.md").splitlines() if line.startswith("| ") and "what to type" not in line
    ]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_decisions_are_numbered_and_say_what_was_rejected() -> None:
    found = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in found]
    assert numbers[0] == 1
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    index = page("docs/decisions/README.md")
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert DECISION.match(text)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Rejected"]
        assert path.name in index, f"{path.name} is not in the index"
