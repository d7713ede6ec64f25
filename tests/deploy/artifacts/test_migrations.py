"""Migrations are read without running them, and have to be one line of steps whose kinds are known."""

from pathlib import Path

import pytest

from deploy.artifacts import migrations
from deploy.artifacts.migrations import MigrationError
from tests.support.sample import MIGRATION


def write(root: Path, **files: str) -> None:
    (root / "versions").mkdir()
    for name, text in files.items():
        (root / f"versions/{name}.py").write_text(text)


def step(revision: str, down: str | None, kind: str = "expand") -> str:
    return MIGRATION.format(summary=f"Step {revision}.", revision=revision, down=down, kind=kind)


def mistakes(root: Path) -> tuple[str, ...]:
    with pytest.raises(MigrationError) as error:
        migrations.read(root, "versions")
    return error.value.problems


def test_they_come_in_the_order_in_which_they_run(tmp_path: Path) -> None:
    write(tmp_path, a=step("x", "m"), b=step("m", "z", "contract"), c=step("z", None), __init__="", _helper="import x")
    read = migrations.read(tmp_path, "versions")
    assert [(each.revision, each.kind, each.summary) for each in read] == [
        ("z", "expand", "Step z."),
        ("m", "contract", "Step m."),
        ("x", "expand", "Step x."),
    ]


def test_annotated_assignments_are_read(tmp_path: Path) -> None:
    write(tmp_path, a="revision: str = '1'\ndown_revision: str | None = None\nkind: str = 'expand'\n")
    assert migrations.read(tmp_path, "versions")[0].summary == ""


def test_an_app_may_have_none_yet(tmp_path: Path) -> None:
    write(tmp_path)
    assert migrations.read(tmp_path, "versions") == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="versions: expected the folder of migrations"):
        migrations.read(tmp_path, "versions")


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="revision = '1'\ndown_revision = None\n",
        b="revision = '2'\ndown_revision = '1'\nkind = 'grow'\n",
        c="revision = '3'\ndown_revision = ('1', '2')\nkind = 'expand'\n",
        d="def broken(:\n",
        e="revision = 4\nkind = kind_of('x')\n",
    )
    assert [problem.split(", ")[0].split(": ", 1)[0] for problem in mistakes(tmp_path)] == [
        "versions/a.py:1",
        "versions/b.py:3",
        "versions/c.py:2",
        "versions/d.py:1",
        "versions/e.py:1",
        "versions/e.py:1",
        "versions/e.py:2",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": step("1", None), "b": step("2", "1"), "c": step("3", "1")}, "all follow 1: expected one line"),
        ({"a": step("1", None), "b": step("2", None)}, "are all the first: expected one line"),
        ({"a": step("1", None), "b": step("1", "1")}, "versions/b.py: revision '1' is also that of versions/a.py"),
        ({"a": step("1", "0")}, "versions/a.py: down_revision '0' is no revision here"),
        ({"a": step("1", "2"), "b": step("2", "1")}, "the down_revisions go in a circle"),
        ({"a": step("1", None), "b": step("2", "3"), "c": step("3", "2")}, "the down_revisions go in a circle"),
    ],
)
def test_what_is_not_one_line_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    write(tmp_path, **files)
    assert message in mistakes(tmp_path)[0]
