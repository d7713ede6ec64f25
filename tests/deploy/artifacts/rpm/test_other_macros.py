"""The specs mean the same where distributions bring macros of their own: nothing of theirs gets at what is packed.

No Fedora or RHEL can be had where these tests run. Their macros have these names (redhat-rpm-config's `macros`); what
each does here is worse than what it does there: it harms what is packed, so that it would show.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.artifacts.cache import Cache
from deploy.artifacts.rpm import build_rpms
from tests.support import rpms
from tests.support.sample import Sample

MACROS = r"""
%_vendor redhat
%vendor Fedora Project
%distribution Fedora Project
%dist .fc99
%packager Nobody
%_binary_payload w9.gzdio
%_build_id_links compat
%_missing_build_ids_terminate_build 1
%_unitdir /usr/lib/systemd/system
%_presetdir /usr/lib/systemd/system-preset
%_sysusersdir /usr/lib/sysusers.d
%_tmpfilesdir /usr/lib/tmpfiles.d
%_enable_debug_packages 1
%debug_package \
%package debuginfo\
Summary: Nobody asked for it\
%description debuginfo\
Nobody asked for it.\
%files debuginfo -f debugfiles.list\
%{nil}
%install %{?_enable_debug_packages:%{debug_package}}\
%%install\
%{nil}
%__brp_mangle_shebangs find %{buildroot} -type f -exec sed -i 1s,^#!,#!!, {} +
%__brp_python_bytecompile find %{buildroot} -name '*.pyc' -delete
%__brp_strip touch %{buildroot}/stripped
%__debug_install_post touch %{buildroot}/debugged
%__arch_install_post touch %{buildroot}/rpaths-were-checked
%__os_install_post \
    %{?__brp_strip}\
    %{?__brp_mangle_shebangs}\
    %{?__brp_python_bytecompile}\
%{nil}
%__spec_install_post \
    %{?__debug_package:%{__debug_install_post}}\
    %{__arch_install_post}\
    %{__os_install_post}\
%{nil}
"""
QUERIES = ("--requires", "--provides", "--scripts", "--triggers", "--configfiles", "--conflicts", "--obsoletes")
PAYLOAD = "%{PAYLOADCOMPRESSOR} %{PAYLOADFLAGS} %{ARCH} %{OS} %{RELEASE}"
FILES = "[%{FILENAMES} %{FILEMODES:octal} %{FILEDIGESTS} %{FILELINKTOS} %{FILEUSERNAME} %{FILEGROUPNAME}\\n]"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an rpmbuild that has the macros of another distribution."""
    rpms.need_tools()
    shown = subprocess.run(["rpm", "--showrc"], capture_output=True, text=True, check=True)
    paths = re.search(r"^Macro path: (.*)$", shown.stdout + shown.stderr, re.MULTILINE)
    assert paths
    (tmp_path / "bin").mkdir()
    (tmp_path / "macros").write_text(MACROS)
    program = tmp_path / "bin/rpmbuild"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/rpmbuild --macros "{paths[1]}:{tmp_path}/macros" "$@"\n')
    program.chmod(0o755)
    return program.parent


def built(sample: Sample, out: Path, cache: Path) -> dict[str, dict[str, str]]:
    """Build, and ask each package for everything that rpm knows of it."""
    _, made, _ = build_rpms(sample.root, None, out, Cache(cache))
    asked = {}
    for package in made:
        answers = {query: ask(package.path, query) for query in QUERIES}
        asked[package.path.name] = answers | {"files": ask(package.path, "--qf", PAYLOAD + FILES)}
    return asked


def ask(path: Path, *words: str) -> str:
    return subprocess.run(["rpm", "-qp", *words, path], capture_output=True, text=True, check=True).stdout


def test_macros_of_another_distribution_change_nothing(
    sample: Sample, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.git("tag", "v1.0")
    here = built(sample, tmp_path / "here", tmp_path / "one")
    monkeypatch.setenv("PATH", f"{there}:{os.environ['PATH']}")
    assert subprocess.run(["rpmbuild", "--eval", "%dist"], capture_output=True, check=True).stdout == b".fc99\n"
    assert built(sample, tmp_path / "there", tmp_path / "two") == here
