"""Which form a release comes in, and what is said when it is not at hand in that form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy import environment as environments
from deploy.agents import Agent
from deploy.artifacts import ReleaseTree
from deploy.artifacts.manifest import Manifest
from deploy.facts import Host, Lack, Release
from deploy.staging import StagingError, Supply
from tests.support.staging import TEXT

DATA = {"name": "sample", "platform": "linux-x86_64", "version": "1.0", "files": []}
HERE = Release("1.0", "", complete=True)  # `digest` is filled in below
NOBODY = Agent("web1", ["false"])


@pytest.fixture
def release(tmp_path: Path) -> ReleaseTree:
    return ReleaseTree(tmp_path / "sample-1.0", "1.0", "ab" * 32, Manifest("{}", DATA))


def supply(release: ReleaseTree, artifact: str, folder: Path) -> Supply:
    (folder / "one.toml").write_text(TEXT.format(artifact=artifact, source="operator"))
    return Supply(environments.read("one", folder), release)


KINDS = [
    ("tree", "tree", "tree"),
    ("rpm", "tree", "rpm"),  # rpm may take over files that lie there
    ("image", "tree", "tree"),  # no files are taken away from what runs
    ("tree", "image", "image"),
    ("rpm", "image", "image"),
    ("image", "image", "image"),
]


@pytest.mark.parametrize(("artifact", "there", "expected"), KINDS)
def test_what_is_there_stays_what_it_is(
    release: ReleaseTree, tmp_path: Path, artifact: str, there: str, expected: str
) -> None:
    """And nobody is asked for what is whole."""
    host = Host("web1", "", releases=(replace(HERE, digest=release.digest, form=there),))
    assert supply(release, artifact, tmp_path).lack(NOBODY, host) == Lack(expected)


def test_a_host_that_cannot_take_a_form_is_not_asked(release: ReleaseTree, tmp_path: Path) -> None:
    """Preflight says what it needs, with everything else that is wrong."""
    (tmp_path / "sample-release-1.0-1.0-1.x86_64.rpm").write_bytes(release.digest.encode())
    host = Host("web1", "", forms={"rpm": ["rpm"]})
    assert supply(release, "rpm", tmp_path).lack(NOBODY, host) == Lack("rpm", 1)


@pytest.mark.parametrize(("artifact", "hint"), [("rpm", "make rpm"), ("image", "make image")])
def test_what_is_not_in_dist_is_named(release: ReleaseTree, tmp_path: Path, artifact: str, hint: str) -> None:
    with pytest.raises(StagingError, match=f"no {artifact} of 1.0 in {tmp_path}") as caught:
        supply(release, artifact, tmp_path).lack(NOBODY, Host("web1", ""))
    assert caught.value.hint == hint


def test_an_rpm_of_another_build_is_refused(release: ReleaseTree, tmp_path: Path) -> None:
    path = tmp_path / "sample-release-1.0-1.0-1.x86_64.rpm"
    path.write_bytes(b"of something else")
    with pytest.raises(StagingError, match="is not of the release"):
        supply(release, "rpm", tmp_path).lack(NOBODY, Host("web1", ""))
    path.write_bytes(release.digest.encode())
    assert supply(release, "rpm", tmp_path).lack(NOBODY, Host("web1", "")) == Lack("rpm", 1, 64, 64)


def test_an_rpm_of_uncommitted_templates_is_refused_where_nothing_uncommitted_may_go(
    release: ReleaseTree, tmp_path: Path
) -> None:
    path = tmp_path / "sample-release-1.0-1.0-1.dirty.1234abcd.x86_64.rpm"
    path.write_bytes(release.digest.encode())
    host = Host("web1", "")
    assert supply(release, "rpm", tmp_path).lack(NOBODY, host).bytes == 64
    (tmp_path / "one.toml").write_text('dirty = "refused"' + TEXT.format(artifact="rpm", source="operator"))
    with pytest.raises(StagingError, match="changes of packaging/ that nobody committed") as caught:
        Supply(environments.read("one", tmp_path), release).lack(NOBODY, host)
    assert caught.value.hint == "commit, then make release and make rpm"


class Whole(Agent):
    """An agent whose host has every file."""

    def request(self, verb: str, arguments: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Put together what is there."""
        assert verb == "assemble"
        return {}


def test_a_release_that_is_whole_on_a_host_needs_no_rpm_at_hand(release: ReleaseTree, tmp_path: Path) -> None:
    """As files, from before the environment took rpms: only its variables are new."""
    assert supply(release, "rpm", tmp_path).bring(Whole("web1", []), "rpm", 1, whole=True) == "nothing sent"
