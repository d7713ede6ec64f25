"""Promises about the shape of the repository, kept by looking at it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.repository import (
    CI_FILES,
    ROOT,
    ci_commands,
    fab_tasks,
    files,
    fleet_tasks,
    imports,
    make_targets,
    named,
    python_files,
)

MAX_LINES = 400
EVERY_TASK = fab_tasks() | fleet_tasks()
STANDARD_LIBRARY = set(sys.stdlib_module_names) | {"__future__"}

# Written in parts, so that this file does not contain what it looks for.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("docker", "io/"),  # with the slash of an image's name: Debian's package of the engine is called the same
        ("index", "docker", "io"),
        ("registry-1", "docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
]
HOME_DIRECTORIES = re.compile("/(?:ho" + "me|Us" + r"ers)/[A-Za-z][\w.-]*/")


def texts() -> list[tuple[str, str]]:
    """Every text file of the repository with its name."""
    found = []
    for path in files():
        try:
            found.append((named(path), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def breaches(folder: str, *forbidden: str) -> list[str]:
    return [
        f"{named(path)} imports {module}"
        for path in python_files(folder)
        for module in sorted(imports(path))
        if within(module, *forbidden)
    ]


def test_there_is_something_to_check() -> None:
    assert len(python_files("app/")) > 50
    assert len(python_files("deploy/")) > 50
    assert len(python_files("deploy/agent/")) > 20
    assert {"demo", "test", "wheel", "release"} <= set(make_targets())
    assert {"plan", "deploy", "rollback"} <= set(fab_tasks())


def test_the_application_knows_nothing_of_its_deployment() -> None:
    assert not breaches("app/", "deploy", "packaging", "salt", "tests", "bench", "fabfile")


def test_the_operators_side_never_imports_the_application() -> None:
    assert not breaches("deploy/", "app", "tests", "bench")


def test_the_agent_imports_only_the_standard_library_and_itself() -> None:
    strangers = [
        f"{named(path)} imports {module}"
        for path in python_files("deploy/agent/")
        for module in sorted(imports(path))
        if module.partition(".")[0] not in STANDARD_LIBRARY and not within(module, "deploy.agent")
    ]
    # `from deploy import agent` would show as `deploy`, and so be found here.
    assert not strangers


def test_the_planner_reaches_no_host() -> None:
    """`plan` decides from facts: see docs/decisions/0002-observe-instead-of-remember.md."""
    pure = {
        f"deploy.{name}"
        for name in (
            "plan",
            "batches",
            "generations",
            "facts",
            "changes",
            "overview",
            "bake",
            "schema",
            "fencing",
            "alone",
            "wording",
        )
    }
    found = set().union(*(imports(ROOT / f"{module.replace('.', '/')}.py") for module in pure))
    ours = {module for module in found if within(module, "deploy")}
    assert all(any(within(module, own) for own in pure) for module in ours), ours
    assert not found & {"os", "pathlib", "socket", "subprocess", "time", "threading"}


@pytest.mark.parametrize("folder", ["packaging", "salt"])
def test_folders_named_like_distributions_are_no_packages(folder: str) -> None:
    """An `__init__.py` there would shadow the distribution of that name."""
    assert not list((ROOT / folder).rglob("__init__.py"))


@pytest.mark.parametrize("path", python_files(), ids=named)
def test_python_files_stay_readable(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it; a file is one noun"


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the machine's own setting: a mirror must not be bypassed."""
    found = [(name, host) for name, text in texts() for host in REGISTRY_HOSTS if host in text]
    assert not found


def test_no_file_names_a_developers_machine() -> None:
    here = str(ROOT) if len(ROOT.parts) > 2 else None
    found = [
        (name, number, line.strip()[:80])
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if HOME_DIRECTORIES.search(line) or (here and re.search(rf"{re.escape(here)}(?![\w-])", line))
    ]
    assert not found


@pytest.mark.parametrize(("name", "docstring"), EVERY_TASK.items(), ids=EVERY_TASK)
def test_every_task_says_in_a_line_what_it_does(name: str, docstring: str) -> None:
    assert docstring.strip(), f"{name} has no docstring: `fab --list` would show nothing"
    assert "\n" not in docstring.strip(), f"{name}: expected one line"
    assert docstring.strip().endswith((".", '"')), f"{name}: expected a sentence"
    assert "ENV" in docstring or name.startswith("fleet."), (
        f"{name}: expected ENV, which `fab --list` replaces by the environment's name"
    )


def test_targets_of_make_are_declared_phony() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared
    assert set(declared[1].split()) == set(make_targets())


@pytest.mark.parametrize("name", CI_FILES)
def test_ci_calls_the_targets_that_a_person_calls(name: str) -> None:
    called = {target for line in ci_commands(name) for target in re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", line)}
    assert {"test", "image", "repo", "artifacts", "verify-reproducible"} <= called
    assert called <= set(make_targets())
    tools = re.compile(r"\b(pytest|ruff|mypy|lint-imports|pip|uv)\b")
    assert not [line for line in ci_commands(name) if tools.search(line)], "CI calls make; make calls the tools"


@pytest.mark.parametrize("name", CI_FILES)
def test_ci_has_the_whole_history_and_no_secret(name: str) -> None:
    """The version counts the commits since the last tag, and building needs no credentials."""
    text = (ROOT / name).read_text()
    assert re.search(r"fetch-depth: 0\b|GIT_DEPTH: \"?0\b", text)
    assert "secrets." not in text
    assert not re.search(r"(?i)\b(token|password)\b\s*:", text)


def test_hooks_are_local_and_call_the_one_list_of_checks() -> None:
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in document["repos"]] == ["local"]
    for hook in document["repos"][0]["hooks"]:
        script = ROOT / hook["entry"].split()[0]
        assert script.is_file(), hook["entry"]
