"""However a release comes to a server, by sync, as an rpm or in an image: it is there byte by byte the same."""

import subprocess
from pathlib import Path

import pytest

from deploy import contract, sync
from deploy.agent.layout import Layout
from deploy.artifacts import ReleaseTree, image
from deploy.artifacts.cache import Cache
from deploy.artifacts.image.archive import write_layer
from deploy.artifacts.image.base import Base
from deploy.artifacts.image.layers import Entry
from deploy.artifacts.rpm import build_rpms
from deploy.artifacts.supply import bundle
from tests.deploy.agent import kit
from tests.support import rpms
from tests.support import sample as samples
from tests.support.laid_out import Files, expected, installed
from tests.support.sample import Sample
from tests.support.signing import signer

NAME, VERSION = "sample-shop", "1.0"
PLACE = f"opt/{NAME}/releases/{VERSION}"


@pytest.fixture
def shop(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    """The sample, with a program of a dependency and a file of an odd name, signed."""
    tool = {"chisel.py": "", "chisel-1.data/scripts/carve": "#!python\nprint('carved')\n"}
    wheel = samples.make_wheel(sample.wheels, "chisel", "1", tool)
    sample.write("locks/shop.txt", samples.lock_of(next(sample.wheels.glob("pebble*")), wheel))
    sample.edit("pyproject.toml", '["pebble>=1"]', '["pebble>=1", "chisel"]')
    sample.write("shop/odd [1] 100% ü.txt", "odd\n")
    sample.commit()
    sample.git("tag", f"v{VERSION}")
    monkeypatch.setenv("SLIPWAY_KEY", str(signer(tmp_path).key))
    return sample


def test_the_same_bytes_by_sync_by_rpm_and_in_the_image(shop: Sample, cache: Cache, tmp_path: Path) -> None:
    rpms.need_tools()
    out = tmp_path / "dist"
    made = bundle.build(shop.root, None, out, without=["image", "rpm", "archive", "agent"], cache=cache)
    ways = {
        "sync": by_sync(made.release, tmp_path / "synced"),
        "rpm": by_rpm(shop, out, cache, tmp_path),
        "image": in_the_image(shop, made.release, tmp_path),
    }
    wanted = expected(made.release)
    assert wanted["bin/carve"][0]
    for way, found in ways.items():
        assert found == wanted, way


def by_sync(release: ReleaseTree, root: Path) -> Files:
    """As a rollout brings it: the contents that the agent lacks, in one stream, then the manifest."""
    layout, files = Layout.under(root), sync.contents(release.manifest.data)
    missing = kit.call(layout, "missing", hashes=sorted(files))["missing"]
    payload = b"".join(sync.stream(release.path, files, missing))
    assert len(payload) == sync.length(files[sha256][1] for sha256 in missing)
    kit.call(layout, "receive", payload, encoding="identity", length=len(payload))
    kit.call(layout, "assemble", manifest=release.manifest.text, signature=release.signature)
    return installed(root / "releases" / VERSION)


def by_rpm(shop: Sample, out: Path, cache: Cache, scratch: Path) -> Files:
    """As rpm installs it into an empty root."""
    build_rpms(shop.root, None, out, cache)
    root = rpms.make_root(scratch, rpms.make_system(scratch))
    root.rpm("-i", next(out.glob(f"{NAME}-host-*.rpm")), next(out.glob(f"{NAME}-release-*.rpm")))
    return installed(root.path / PLACE)


def in_the_image(shop: Sample, release: ReleaseTree, scratch: Path) -> Files:
    """As a container sees it: all layers, the base's a folder with nothing in it."""
    base = Base("empty", "sha256:0", (write_layer([Entry("etc")], scratch / "base.tar"),))
    made = image.build_image(shop.root, None, scratch / "dist", base, contract.read(shop.root), release)
    root = scratch / "container"
    root.mkdir()
    subprocess.run(["tar", "-xf", made.path, "-C", scratch, "blobs"], check=True)
    for sha256, _ in made.layers:
        subprocess.run(["tar", "-xf", scratch / f"blobs/sha256/{sha256}", "-C", root], check=True)
    assert (root / PLACE).readlink() == Path("../release")
    return installed((root / PLACE).resolve())
