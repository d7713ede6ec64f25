"""A new project by a real copier: under its own name, and what is mended here merges with what its team changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.releases import change, commit, git
from tests.support.repository import ROOT

COPIER = Path(sys.executable).parent / "copier"
NOTE = "\n# a note of the team\n"

pytestmark = pytest.mark.timeout(900)


def copier(*words: str | Path, here: Path, expect: int = 0) -> str:
    """Run copier without questions; answer what it says."""
    done = subprocess.run(
        [COPIER, *words[:1], "--trust", "--defaults", *words[1:]], cwd=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the commit, to be mended."""
    folder = tmp_path_factory.mktemp("template") / "slipway"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def test_a_name_that_is_taken_is_refused_and_another_can_be_taken(template: Path, tmp_path: Path) -> None:
    said = copier(
        "copy", "--data=name=redis", "--data=reference_app=no", template, tmp_path / "new", here=tmp_path, expect=1
    )
    assert "the name redis is taken" in said


def test_what_is_mended_here_merges_with_what_the_team_changed(template: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    copier("copy", "--data=name=my-shop", "--data=reference_app=no", template, shop, here=tmp_path)
    git(shop, "init", "--quiet")
    batches = (shop / "deploy/batches.py").read_text()
    (shop / "docs/fleet.md").unlink()
    change(shop, {"deploy/batches.py": batches + NOTE})
    commit(shop, "Our own")

    mended = (template / "deploy/batches.py").read_text().replace("\nfrom ", "\n# mended\nfrom ", 1)
    fleet = (template / "docs/fleet.md").read_text()
    change(template, {"deploy/batches.py": mended, "docs/fleet.md": f"{fleet}\nMore.\n"})
    change(template, {"docs/new.md": "Of gazetteer.\n"})
    commit(template, "Mend")
    copier("update", here=shop)

    assert (shop / "deploy/batches.py").read_text() == batches.replace("\nfrom ", "\n# mended\nfrom ", 1) + NOTE
    assert (shop / "docs/new.md").read_text() == "Of my-shop.\n"
    assert not (shop / "docs/fleet.md").exists(), "what the team deleted stays away"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=shop, check=True, capture_output=True, text=True)
    assert sorted(line[3:] for line in status.stdout.splitlines()) == [
        ".copier-answers.yml",
        "deploy/batches.py",
        "docs/new.md",
    ]
