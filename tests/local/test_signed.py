"""Where signatures are required nothing else is rolled out, nor gone back to, and anybody sees who signed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site
from tests.support.signing import Signer, signer

OPTIONAL = 'transport = "local"\n'
REQUIRED = f'{OPTIONAL}signatures = "required"\n'


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"))


def sign(release: ReleaseTree, who: Signer) -> Iterator[None]:
    """Sign a release for a while: other tests share it."""
    path = release.path / "manifest.json.sig"
    path.write_text(who.sign(release.manifest.text.encode()))
    yield
    path.unlink()


def test_from_no_signatures_to_required_ones_and_back(
    site: Site, base: ReleaseTree, newer: ReleaseTree, ada: Signer
) -> None:
    """One story, for each step starts where the one before ended; `base` serves, and nobody signed it."""
    keys = site.path / "packaging/keys/allowed_signers"
    site.edit(OPTIONAL, REQUIRED)
    said = site.fab("bootstrap:local", expect=2).err
    assert "there is no packaging/keys/allowed_signers" in said
    assert "make key" in said
    keys.write_text(ada.line)
    said = site.fab("bootstrap:local", expect=2).err
    assert "signatures can't be required yet" in said
    assert not (site.root("web1") / "allowed_signers").exists()

    assert any("is not signed" in p for p in _problems(site, newer))
    for _ in sign(newer, ada):
        site.deploy(newer)
        assert "releases must be signed" in site.fab("bootstrap:local").out
        assert (site.root("web1") / "allowed_signers").read_text() == ada.line
        assert "nothing to do" in site.fab("bootstrap:local").out
        shown = site.fab("verify:local").out.splitlines()
        assert all("signed by ada@example.org (ED25519 key SHA256:" in line for line in shown if newer.version in line)
        assert any("not signed" in line for line in shown if base.version in line)

        assert any("is not signed" in p for p in _problems(site, base))
        refused = site.fab("rollback:local", "--json", expect=2)
        assert "is not signed" in refused.err
        assert site.versions() == {newer.version}

        site.edit(REQUIRED, OPTIONAL)
        assert "fab bootstrap:local" in site.fab("plan:local", "--version", newer.version, expect=2).err
        assert "signatures are no longer required" in site.fab("bootstrap:local").out
        site.deploy(newer, expect=10)


def _problems(site: Site, release: ReleaseTree) -> list[str]:
    """Why a release is refused, before anything is touched."""
    return site.fab("deploy:local", "--version", release.version, expect=2).err.splitlines()
