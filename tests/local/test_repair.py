"""Files that someone altered: `verify` finds them, the next deploy repairs them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, own_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree) -> Iterator[Site]:
    """Make a site of its own: releases share their files, so what is damaged here would be in others too."""
    with own_site(tmp_path_factory.mktemp("site"), base) as made:
        yield made


def damage(path: Path) -> None:
    """Overwrite a file in place and keep its size and time, as a bad disk would: only reading finds it."""
    stat = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"\0" * stat.st_size)
    path.chmod(stat.st_mode & 0o7777)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def sample(site: Site, release: ReleaseTree) -> tuple[str, Path, Path]:
    """Choose a file: its path in the release, the file there, and the same content in the store."""
    entry = next(f for f in release.manifest.data["files"] if f["path"].endswith("kiosk/about.py"))
    sha = entry["sha256"]
    host = site.root("web1")
    return entry["path"], host / "releases" / release.version / entry["path"], host / "store" / sha[:2] / sha[2:]


@pytest.mark.parametrize("where", ["release", "store"])
def test_a_corrupt_file_is_found_by_verify_and_repaired_by_the_next_deploy(
    site: Site, base: ReleaseTree, where: str
) -> None:
    site.ensure(base)
    path, in_release, in_store = sample(site, base)
    content = in_release.read_bytes()
    if where == "release":  # a file of its own instead of the link into the store
        in_release.unlink()
        in_release.write_bytes(content)
        in_release.chmod(0o444)
        os.utime(in_release, (315532800, 315532800))
    damage(in_release if where == "release" else in_store)
    found = site.fab("verify:local", expect=30)
    assert path in found.err
    assert f"web1: {base.version}" in found.err
    assert "fab deploy:local repairs" in found.err.replace(".venv/bin/", "")
    with site.traffic() as probed:
        site.deploy(base)
    assert probed[0].failed == 0
    assert in_release.read_bytes() == content == in_store.read_bytes()
    site.fab("verify:local")
    site.deploy(base, expect=10)


def test_a_tampered_manifest_is_found_and_repaired(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    manifest = site.root("web2") / "releases" / base.version / "manifest.json"
    data = json.loads(manifest.read_text())
    data["contract"]["app"] = "evil.wsgi:application"
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(data))
    site.fab("verify:local", expect=30)
    site.deploy(base)
    assert manifest.read_text() == base.manifest.text
    site.fab("verify:local")


def test_a_file_that_was_deleted_comes_back(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    _, in_release, _ = sample(site, base)
    in_release.unlink()
    site.deploy(base)
    assert in_release.is_file()


def test_a_process_that_runs_something_else_is_found(site: Site, base: ReleaseTree) -> None:
    """And a release of a checkout that has no git can't be proven by its commit."""
    site.ensure(base)
    proven = json.loads(site.fab("verify:local", "--json").out)
    for host, processes in proven["processes"].items():
        (process,) = processes
        assert process["program"] == f"{site.root(host)}/releases/{base.version}/bin/python"
        assert process["problem"] == ""
    current = site.root("web1") / "current"
    number = int(current.readlink().name)
    current.unlink()  # by somebody's hand
    try:
        said = site.fab("verify:local", expect=30).err
        assert f"generation {number} runs, and none is current" in said
    finally:
        current.symlink_to(f"generations/{number}")
    assert "can't be built here" in site.fab("verify:local", "--rebuild", expect=30).err
    site.fab("verify:local")
