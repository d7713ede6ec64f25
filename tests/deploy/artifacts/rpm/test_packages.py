"""The packages say of themselves what a packager expects, and the same commit gives the same bytes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from deploy.artifacts import rpm
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.rpm import needs, tools
from deploy.artifacts.rpm.tools import RpmError
from deploy.artifacts.source.beside import OURS, SLIPWAY
from tests.support import rpms
from tests.support import sample as samples
from tests.support.repository import ROOT
from tests.support.sample import Sample

NAME, VERSION = "sample-shop", "1.4.0rc1"
UNITS = "/usr/lib/systemd/system"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    rpms.need_tools()
    sample = samples.make(tmp_path_factory.mktemp("shop"))
    sample.edit("pyproject.toml", 'dynamic = ["version"]', 'description = "Sells 100% of it"\ndynamic = ["version"]')
    kept = 'links = { "var/shop-instance" = "instance" }\nsystem_packages.redhat = ["file"]\n'
    sample.edit("pyproject.toml", 'lock = "locks/shop.txt"\n', f'lock = "locks/shop.txt"\n{kept}')
    sample.write("shop/odd [1] 100% {a} ü.txt", "names that mean something to rpm\n")
    sample.commit()
    sample.git("tag", f"v{VERSION}")
    return sample


@pytest.fixture(scope="module", autouse=True)
def _pip(shop: Sample) -> object:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(shop.wheels)}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        yield


@pytest.fixture(scope="module")
def out(shop: Sample, tmp_path_factory: pytest.TempPathFactory, cache: Cache) -> Path:
    """The folder of the packages of one version."""
    folder = tmp_path_factory.mktemp("out")
    rpm.build_rpms(shop.root, None, folder, cache)
    return folder


def query(path: Path, *words: str) -> list[str]:
    command = ["rpm", "-qp", *words, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
    return [line.strip() for line in done.stdout.splitlines() if not line.startswith("rpmlib(")]


@pytest.fixture
def release(out: Path) -> Path:
    return out / f"{NAME}-release-{VERSION}-1.4.0~rc1-1.x86_64.rpm"


@pytest.fixture
def host(out: Path) -> Path:
    return out / f"{NAME}-host-1.4.0~rc1-1.noarch.rpm"


@pytest.fixture
def both(out: Path) -> Path:
    return out / f"{NAME}-1.4.0~rc1-1.noarch.rpm"


def test_there_are_three_packages(out: Path, release: Path, host: Path, both: Path) -> None:
    assert sorted(out.glob("*.rpm")) == sorted([release, host, both])


def test_a_release_provides_itself_and_requires_its_platform(release: Path) -> None:
    assert query(release, "--provides") == [
        f"{NAME}-release = 1.4.0~rc1",
        f"{NAME}-release-{VERSION} = 1.4.0~rc1-1",
        f"{NAME}-release-{VERSION}(x86-64) = 1.4.0~rc1-1",
    ]
    assert query(release, "--requires") == ["/usr/bin/python3.11", "file", "python(abi) = 3.11"]
    assert query(release, "--recommends") == [f"{NAME}-host"]


def test_a_release_has_one_scriptlet_in_rpms_own_lua(release: Path) -> None:
    scripts = query(release, "--scripts")
    assert [line for line in scripts if "scriptlet" in line] == ["preuninstall scriptlet (using <lua>):"]
    assert not query(release, "--triggers")


def test_a_release_is_its_tree_and_nothing_else(release: Path, out: Path) -> None:
    base = f"/opt/{NAME}/releases/{VERSION}"
    entries = json.loads((out / f"{NAME}-{VERSION}/manifest.json").read_text())["files"]
    modes = {f"{base}/manifest.json": "100444"}
    for entry in entries:
        own = "120777" if "link" in entry else "100555" if int(entry["mode"], 8) & 0o100 else "100444"
        modes[f"{base}/{entry['path']}"] = own
    folders = {str(folder) for path in modes for folder in PurePosixPath(path).parents if folder.is_relative_to(base)}
    assert modes[f"{base}/var/shop-instance"] == "120777", "a link into the state, as the contract says"
    listed = query(release, "--qf", "[%{FILEMODES:octal} %{FILENAMES}\\n]")
    assert listed == [f"{mode} {path}" for path, mode in sorted({**modes, **dict.fromkeys(folders, "40755")}.items())]
    owners = query(release, "--qf", "[%{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEMTIMES}\\n]")
    assert set(owners) == {"root:root 315532800"}


def test_the_host_package_has_what_versions_share(host: Path) -> None:
    assert set(query(host, "--list")) == {
        f"/etc/{NAME}",
        f"/etc/{NAME}/credentials",
        f"/etc/{NAME}/{NAME}.env",
        f"/opt/{NAME}",
        f"/opt/{NAME}/releases",
        f"/usr/lib/{NAME}",
        f"/usr/lib/{NAME}/releasectl",
        f"/usr/lib/{NAME}/use-release",
        f"{UNITS}/{NAME}.service",
        f"{UNITS}/{NAME}.socket",
        f"{UNITS}/{NAME}@.service",
        f"{UNITS}/{NAME}-image@.service",
        f"{UNITS}-preset/80-{NAME}.preset",
        f"/usr/lib/sysusers.d/{NAME}.conf",
        f"/usr/lib/tmpfiles.d/{NAME}.conf",
    }
    assert query(host, "--configfiles") == [f"/etc/{NAME}/{NAME}.env"]
    assert query(host, "--provides") == [f"{NAME}-host = 1.4.0~rc1-1"]
    wanted = {"/bin/sh", "/usr/bin/env", "/usr/bin/python3", "coreutils", "systemd", "systemd >= 252"}
    assert set(query(host, "--requires")) == wanted


def test_scriptlets_never_restart(host: Path, both: Path) -> None:
    text = "\n".join(query(host, "--scripts") + query(both, "--scripts"))
    assert "restart" not in text
    assert text.count("systemctl start") == 2, "one that starts, and one that says how to"


def test_one_name_brings_the_rest(both: Path) -> None:
    assert query(both, "--list") == [f"{UNITS}/{NAME}.service.d", f"{UNITS}/{NAME}.service.d/first.conf"]
    assert set(query(both, "--requires")) == {
        "/bin/sh",
        "grep",
        "systemd",
        f"{NAME}-host",
        f"{NAME}-host >= 1.4.0~rc1",
        f"{NAME}-release",
        f"{NAME}-release-{VERSION} = 1.4.0~rc1",
    }
    said = query(both, "--qf", "%{SUMMARY}|%{LICENSE}|%{BUILDHOST}")
    assert said == ["Sells 100% of it|LicenseRef-Not-Stated|reproducible"]


def test_rpmlint_finds_nothing_that_we_do_not_mean(out: Path) -> None:
    command = ["rpmlint", "-c", ROOT / "packaging/rpm/rpmlint.toml", *sorted(out.glob("*.rpm"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "0 errors, 0 warnings" in done.stdout, done.stdout


def test_the_same_commit_gives_the_same_bytes(
    out: Path, shop: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, by a user with other settings, in another time zone, with nothing cached."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(shop.root, copy, symlinks=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.rpmmacros").write_text("%_buildhost mine\n%packager Me\n%_binary_payload w9.gzdio\n")
    for name, value in {"HOME": str(tmp_path / "home"), "TZ": "Pacific/Auckland", "LC_ALL": "de_DE.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        _, packages, _ = rpm.build_rpms(copy, f"v{VERSION}", tmp_path / "out", Cache(tmp_path / "cache"))
    finally:
        os.umask(before)
    assert all(package.built for package in packages)
    assert {p.path.name: p.sha256 for p in packages} == {path.name: digest(path) for path in out.glob("*.rpm")}


def test_a_second_run_has_nothing_to_do_and_mends_what_was_changed(
    out: Path, shop: Sample, release: Path, cache: Cache
) -> None:
    _, packages, _ = rpm.build_rpms(shop.root, None, out, cache)
    assert not any(package.built for package in packages)
    right = digest(release)
    with release.open("ab") as file:  # a hard link: the cache's copy is changed with it
        file.write(b"more")
    rpm.build_rpms(shop.root, None, out, cache)
    assert digest(release) == right


def test_what_native_modules_need_is_stated_once_and_without_what_the_release_brings(tmp_path: Path) -> None:
    """The standard library's own module for TLS stands for a wheel's."""
    rpms.need_tools()
    module = next(Path("/usr/lib/python3.11/lib-dynload").glob("_ssl.*.so"))
    shutil.copy(module, tmp_path)
    found = needs.of_tree(tmp_path)
    assert "libssl.so.3(OPENSSL_3.0.0)(64bit)" in found
    assert len([need for need in found if need.startswith("libc.so.6(GLIBC_")]) == 1
    library = next(Path("/usr/lib").glob("*/libssl.so.3"))
    shutil.copy(library, tmp_path)
    assert not [need for need in needs.of_tree(tmp_path) if need.startswith("libssl")]


def test_the_highest_version_of_each_symbol_set_is_what_counts() -> None:
    listed = [f"libc.so.6({symbols})(64bit)" for symbols in ("", "GLIBC_2.2.5", "GLIBC_2.14", "GLIBC_2.9")]
    gcc = ["libgcc_s.so.1(GCC_3.0)(64bit)", "libgcc_s.so.1(GCC_4.2.0)(64bit)", "rtld(GNU_HASH)"]
    assert needs.narrow([*listed, *gcc]) == sorted([listed[0], listed[2], *gcc[1:]])
    assert needs.narrow([]) == []


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RpmError, match="rpmbuild is missing") as caught:
        tools.require("rpmbuild")
    assert "apt-get install rpm " in caught.value.report()


def test_what_rpmbuild_complains_of_is_heard(tmp_path: Path) -> None:
    rpms.need_tools()
    (tmp_path / "bad.spec").write_text("Name: bad\n")
    with pytest.raises(RpmError) as caught:
        tools.run(["rpmbuild", "-bb", "bad.spec"], tmp_path)
    assert "Version" in caught.value.report()


def test_uncommitted_templates_show_in_the_release_field(shop: Sample, cache: Cache, tmp_path: Path) -> None:
    """And dist/ keeps one package of a version."""
    for path in (*OURS.templates.rglob("*.in"), *OURS.agent.rglob("*.py")):
        shop.write(path.relative_to(SLIPWAY).as_posix(), path.read_text())
    tag = f"v{VERSION}"
    shop.commit()
    shop.git("tag", "--force", tag)
    try:
        rpm.build_rpms(shop.root, None, tmp_path, cache)
        clean = {path.name for path in tmp_path.glob("*.rpm")}
        shop.edit("packaging/systemd/app.service.in", "[Unit]", "# by hand\n[Unit]")
        tree, _, _ = rpm.build_rpms(shop.root, None, tmp_path, cache)
        assert tree.version == VERSION
        names = {path.name for path in tmp_path.glob("*.rpm")}
        release = {name for name in clean if "-release-" in name}
        assert names & clean == release
        assert len(names) == len(clean) == 3
        for name in names - release:
            assert re.search(r"-1\.4\.0~rc1-1\.dirty\.[0-9a-f]{8}\.noarch\.rpm$", name), name
        shop.git("checkout", "--quiet", ".")
        rpm.build_rpms(shop.root, None, tmp_path, cache)
        assert {path.name for path in tmp_path.glob("*.rpm")} == clean
    finally:
        shop.git("reset", "--quiet", "--hard", "HEAD~1")
        shop.git("tag", "--force", tag)
