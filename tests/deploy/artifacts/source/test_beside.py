"""What servers get beside a release is of the commit that is built, not of the checkout that happens to be there."""

from pathlib import Path

import pytest

from deploy.artifacts import agent, units
from deploy.artifacts.source import opened
from deploy.artifacts.source.beside import OURS, SLIPWAY, beside
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


def test_a_template_of_another_slipway_is_no_traceback(own: Sample) -> None:
    own.edit(UNIT, "# of today", "# {{ colour }}")
    with opened(own.root) as state, beside(state, None) as found:
        with pytest.raises(TemplateMistake, match=r"packaging/systemd/app\.socket\.in can't be filled: 'colour'") as e:
            units.render(state.contract, found.templates)
        assert "git worktree add" in str(e.value.hint)
