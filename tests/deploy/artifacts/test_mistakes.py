"""What goes wrong at a desk ends with exit code 2 and one message that says what to do; never with a traceback."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.artifacts import signing
from deploy.artifacts.__main__ import main as build
from deploy.artifacts.cache import Cache
from deploy.artifacts.image.__main__ import main as build_image
from deploy.artifacts.supply.__main__ import main as supply
from tests.support import sample as samples
from tests.support.sample import Sample
from tests.support.signing import signer


@dataclass
class Desk:
    """The sample's checkout, and a machine that can be lacking."""

    sample: Sample
    monkeypatch: pytest.MonkeyPatch
    scratch: Path

    def without(self, *programs: str) -> None:
        """Leave programs out of PATH."""
        tools = self.scratch / "bin"
        tools.mkdir()
        for folder in ("/usr/sbin", "/usr/bin"):
            for path in Path(folder).iterdir():
                if path.name not in programs and not (tools / path.name).exists():
                    (tools / path.name).symlink_to(path)
        self.monkeypatch.setenv("PATH", str(tools))

    def locks(self, name: str, tag: str = "py3-none-any", metadata: str = "") -> None:
        """Depend on a wheel, and lock it."""
        wheel = samples.make_wheel(self.sample.wheels, name, "2.0", {f"{name}.py": ""}, tag, metadata)
        pebble = next(self.sample.wheels.glob("pebble*"))
        self.sample.write("locks/shop.txt", samples.lock_of(pebble, wheel))
        self.sample.edit("pyproject.toml", '["pebble>=1"]', f'["pebble>=1", "{name}"]')


def shallow(desk: Desk) -> None:
    desk.sample.git("tag", "v1.0")
    for name in ("one", "two"):
        desk.sample.write("shop/prices.txt", name)
        desk.sample.commit()
    clone = desk.scratch / "clone"
    desk.sample.git("clone", "--quiet", "--depth=1", f"file://{desk.sample.root}", str(clone))
    desk.monkeypatch.chdir(clone)


def not_a_project(desk: Desk) -> None:
    desk.sample.write("pyproject.toml", None)


def no_commit(desk: Desk) -> None:
    shutil.rmtree(desk.sample.root / ".git")
    desk.sample.git("init", "--quiet")


def stranger(desk: Desk) -> None:
    """A private key whose public half nobody listed."""
    listed = signer(desk.scratch, "ada@example.org")
    desk.sample.write(str(signing.ALLOWED), listed.line)
    desk.monkeypatch.setenv("SLIPWAY_KEY", str(signer(desk.scratch, "eve@example.org").key))


def epoch(desk: Desk) -> None:
    desk.sample.edit("pyproject.toml", "tag_regex = '^v(?P<version>\\d+(?:\\.\\d+)+.*)$'\n", "")
    desk.sample.commit()
    desk.sample.git("tag", "1!2.0")


WHEEL, RELEASE, RPM, REPO = ((build, name) for name in ("wheel", "release", "rpm", "repo"))
IMAGE, ARTIFACTS = (build_image, ""), (supply, "artifacts")
# What is wrong, the command, and what has to be said: the mistake, then the way out.
CASES: dict[str, tuple[Callable[[Desk], object], tuple[Callable[[list[str]], int], str], str, str]] = {
    "no program git": (lambda d: d.without("git"), WHEEL, "the program git is missing", "apt-get install git"),
    "no commit": (no_commit, WHEEL, "has no commit yet", "git commit"),
    "no project": (not_a_project, WHEEL, "pyproject.toml", ""),
    "no such ref": (lambda d: None, (build, "wheel --ref v9"), "has no commit, tag or branch 'v9'", "git tag"),
    "a shallow clone": (
        shallow,
        RELEASE,
        "is a shallow clone: the version counts",
        "git fetch --unshallow",
    ),
    "a tag that is no version": (lambda d: d.sample.git("tag", "release-2"), RELEASE, "'release-2'", "git tag v1.0"),
    "a version that rpm can't have": (epoch, RPM, "1!2.0 is not allowed in rpm", "git tag v2.0"),
    "a lock without a dependency": (
        lambda d: d.sample.edit("pyproject.toml", '["pebble>=1"]', '[\n    "pebble>=1",\n    "chisel",\n]'),
        RELEASE,
        "pyproject.toml:10:5: 'chisel': locks/shop.txt has no chisel",
        "make lock",
    ),
    "a lock with another version": (
        lambda d: d.sample.edit("pyproject.toml", "pebble>=1", "pebble>=2"),
        RELEASE,
        "pyproject.toml:8:17: 'pebble>=2': locks/shop.txt has pebble 1.2",
        "make lock",
    ),
    "a lock that is none": (
        lambda d: d.sample.edit("locks/shop.txt", "pebble==1.2", "pebble>=1.2"),
        RELEASE,
        "locks/shop.txt:2: pebble: expected an exact version",
        "make lock",
    ),
    "a Python that is not here": (
        lambda d: d.sample.edit("pyproject.toml", 'python = "3.11"', 'python = "3.99"'),
        RELEASE,
        "/usr/bin/python3.99 is missing on this machine: expected Python 3.99",
        "apt-get install python3.99",
    ),
    "a dependency for a newer glibc": (
        lambda d: d.locks("chisel", "cp311-cp311-manylinux_2_99_x86_64"),
        RELEASE,
        "chisel-2.0-cp311-cp311-manylinux_2_99_x86_64.whl: needs glibc 2.99, the target has 2.",
        "make lock",
    ),
    "a dependency for a newer Python": (
        lambda d: d.locks("chisel", metadata="Requires-Python: >=3.12\n"),
        RELEASE,
        "locks/shop.txt:5: chisel 2.0: needs Python >=3.12; the target has 3.11",
        "make lock",
    ),
    "no rpmbuild": (lambda d: d.without("rpmbuild"), RPM, "rpmbuild is missing", "apt-get install rpm "),
    "no createrepo_c": (lambda d: d.without("createrepo_c"), REPO, "createrepo_c is missing", "install createrepo-c "),
    "no mmdebstrap": (lambda d: d.without("mmdebstrap"), IMAGE, "mmdebstrap is missing", "apt-get install mmdebstrap"),
    "no ssh-keygen": (
        lambda d: d.without("ssh-keygen"),
        (supply, "key --who ada@example.org"),
        "ssh-keygen is missing on this machine",
        "apt-get install openssh-client",
    ),
    "a key that nobody listed": (
        stranger,
        (supply, "artifacts --without rpm,image"),
        "this key is not in packaging/keys/allowed_signers",
        "add it: echo 'eve@example.org",
    ),
}


@pytest.mark.parametrize(("wrong", "command", "said", "hint"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_the_way_out(
    sample: Sample,
    tmp_path: Path,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: Callable[[Desk], object],
    command: tuple[Callable[[list[str]], int], str],
    said: str,
    hint: str,
) -> None:
    monkeypatch.setattr("deploy.artifacts.cache.of_user", lambda: cache)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIPWAY_KEY", raising=False)
    monkeypatch.chdir(sample.root)
    wrong(Desk(sample, monkeypatch, tmp_path))
    main, words = command
    assert main([*words.split(), "--out", str(tmp_path / "out")]) == 2
    report = capsys.readouterr().err
    assert report.startswith("slipway: ")
    assert said in report
    assert hint in report.partition("\n")[2]
    assert not list((tmp_path / "out").glob("*.rpm"))
