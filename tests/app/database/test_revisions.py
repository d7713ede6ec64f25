from pathlib import Path

import pytest

from app.database.revisions import Revision, read_revisions

SOURCE = '"""Do {0}.\n\nMore."""\nrevision = {0!r}\ndown_revision = {1!r}\nkind = "expand"\n'


def write(folder: Path, revision: str, down: str | None) -> None:
    (folder / f"{revision}.py").write_text(SOURCE.format(revision, down))


def test_they_are_ordered_by_what_they_follow(tmp_path: Path) -> None:
    for revision, down in (("b", None), ("a", "b"), ("c", "a")):
        write(tmp_path, revision, down)
    (tmp_path / "__init__.py").write_text("")
    found = read_revisions(tmp_path)
    assert [entry.revision for entry in found] == ["b", "a", "c"]
    assert found[1] == Revision("a", "b", "expand", "Do a.")


@pytest.mark.parametrize("stray", [("c", "nothing"), ("c", "c")])
def test_a_migration_that_follows_no_other_is_an_error(tmp_path: Path, stray: tuple[str, str]) -> None:
    write(tmp_path, "a", None)
    write(tmp_path, *stray)
    with pytest.raises(ValueError, match="'c'"):
        read_revisions(tmp_path)


def test_two_migrations_that_follow_the_same_are_an_error(tmp_path: Path) -> None:
    for revision, down in (("a", None), ("b", "a"), ("c", "a")):
        write(tmp_path, revision, down)
    with pytest.raises(ValueError, match=r"'b'.*'c'|'c'.*'b'"):
        read_revisions(tmp_path)


def test_ours_are_in_order_and_say_what_they_are() -> None:
    found = read_revisions()
    assert found
    assert {entry.kind for entry in found} <= {"expand", "contract"}
    assert all(entry.summary for entry in found)
