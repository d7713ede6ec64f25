"""What servers get beside a release is of the commit that is built, not of the checkout that happens to be there."""

from pathlib import Path

import pytest

from deploy.artifacts import agent, units
from deploy.artifacts.source import opened
from deploy.artifacts.source import version as versions
from deploy.artifacts.source.beside import ALL, HOST, IMAGE, OURS, RELEASE, SLIPWAY, beside
from deploy.artifacts.units import TemplateMistake
from tests.support.sample import Sample

UNIT = "packaging/systemd/app.socket.in"


@pytest.fixture
def own(sample: Sample) -> Sample:
    """The sample with a Slipway of its own: templates and an agent, tagged, then changed."""
    for path in (*OURS.templates.rglob("*.in"), *OURS.agent.rglob("*.py")):
        sample.write(path.relative_to(SLIPWAY).as_posix(), path.read_text())
    sample.edit(UNIT, "[Socket]", "# of v1.0\n[Socket]")
    sample.commit()
    sample.git("tag", "v1.0")
    sample.edit(UNIT, "# of v1.0", "# of today")
    sample.write("deploy/agent/new.py", "NEW = True\n")
    return sample


@pytest.mark.parametrize(("ref", "said"), [("v1.0", "# of v1.0"), (None, "# of today")])
def test_templates_are_those_of_what_is_built(own: Sample, ref: str | None, said: str) -> None:
    with opened(own.root, ref) as state, beside(state, ref) as found:
        text = units.render(state.contract, found.templates)[f"/usr/lib/systemd/system/{state.contract.name}.socket"]
        assert said in text
        assert (agent.build(found.agent) == agent.build()) is (ref is not None)


def test_a_project_without_them_gets_slipways(sample: Sample) -> None:
    sample.git("tag", "v1.0")
    sample.write("packaging/readme.txt", "of another kind\n")
    for ref in (None, "v1.0"):
        with opened(sample.root, ref) as state, beside(state, ref) as found:
            assert found == OURS


def test_a_source_tarball_has_its_own(own: Sample, tmp_path: Path) -> None:
    (own.root / ".git").rename(tmp_path / "gone")
    with opened(own.root) as state, beside(state, None) as found:
        assert (
            "# of today"
            in units.render(state.contract, found.templates)[f"/usr/lib/systemd/system/{state.contract.name}.socket"]
        )


def marks(own: Sample, ref: str | None = None) -> dict[str, str]:
    """Name the uncommitted state of what goes into each artifact; the app itself is as in the commit."""
    with opened(own.root, ref) as state, beside(state, ref) as found:
        assert versions.of(state).text == "1.0"
        return {kind: found.mark(*parts) for kind, parts in (("release", RELEASE), ("host", HOST), ("image", IMAGE))}


def test_changes_that_nobody_committed_mark_just_what_they_go_into(own: Sample) -> None:
    before = marks(own)
    assert before == {"release": "", "host": before["host"], "image": ""}
    assert before["host"].startswith("dirty.")
    own.edit("packaging/image/entrypoint.sh.in", "#!", "#! ")
    own.edit("deploy/agent/guard.py", '"""', '"""More. ')
    after = marks(own)
    assert all(mark.startswith("dirty.") for mark in after.values())
    assert len({before["host"], *after.values()}) == 4
    assert marks(own) == after, "the same content has the same name"
    assert set(marks(own, "v1.0").values()) == {""}
    own.commit()
    own.git("tag", "--force", "v1.0")
    assert set(marks(own).values()) == {""}


def test_what_goes_into_no_artifact_marks_none(own: Sample) -> None:
    own.commit()
    own.git("tag", "--force", "v1.0")
    for path in ("packaging/README.md", "packaging/locks/other.txt", "deploy/agent/notes.toml", "notes/idea.txt"):
        own.write(path, "more\n")
    assert set(marks(own).values()) == {""}


def test_every_template_that_ships_is_known() -> None:
    for path in (*OURS.templates.rglob("*.in"), *OURS.agent.rglob("*.py")):
        name = path.relative_to(SLIPWAY).as_posix()
        assert any(name == part or name.startswith(f"{part}/") for part in ALL) or "sudoers.d" in name, name
    assert all((SLIPWAY / part).exists() for part in ALL)


def test_a_template_of_another_slipway_is_no_traceback(own: Sample) -> None:
    own.edit(UNIT, "# of today", "# {{ colour }}")
    with opened(own.root) as state, beside(state, None) as found:
        with pytest.raises(TemplateMistake, match=r"packaging/systemd/app\.socket\.in can't be filled: 'colour'") as e:
            units.render(state.contract, found.templates)
        assert "git worktree add" in str(e.value.hint)
