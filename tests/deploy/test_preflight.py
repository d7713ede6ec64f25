"""What must hold before anything is touched."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.environment import read
from deploy.environment_model import MigrateEntry
from deploy.facts import Host, Lack, Server
from deploy.preflight import (
    host_problems,
    migrate_problems,
    release_problems,
    server_problems,
    variable_problems,
)
from deploy.secret import Secret
from deploy.variables import Variables
from tests.support.environments import SERVERS, written

MANIFEST: dict[str, Any] = {
    "platform": "linux-x86_64",
    "python": "3.11",
    "interpreter": "/usr/bin/python3.11",
    "contract": {"commands": {"check": ["-m", "sample"]}},
}
FINE = Host("web1", "", platform="linux-x86_64", pythons=("3.11", "3.12"), disk_free=10**10)


def test_a_host_that_fits_has_no_problem() -> None:
    assert host_problems([FINE], MANIFEST) == []


def test_hosts_on_one_disk_need_room_for_all_of_them() -> None:
    hosts = [replace(FINE, name=n, lack=Lack(room=10**8), disk_free=3 * 10**8) for n in ("web1", "web2")]
    assert host_problems(hosts, MANIFEST) == []
    assert host_problems(hosts, MANIFEST, shared_disk=True)[0].startswith("web1: expected 350 MB")


def test_every_problem_of_every_host_is_reported() -> None:
    hosts = [
        Host("web1", "", platform="linux-aarch64", pythons=("3.11",), disk_free=10**10),
        Host("web2", "", platform="linux-x86_64", pythons=("3.9",), disk_free=10**10),
        Host("web3", "", platform="linux-x86_64", pythons=("3.11",), disk_free=10**6, lack=Lack(room=2 * 10**8)),
    ]
    assert host_problems(hosts, MANIFEST) == [
        "web1: the release is built for linux-x86_64, the host is linux-aarch64",
        "web2: expected /usr/bin/python3.11 (Python 3.11), it has 3.9",
        "web3: expected 350 MB of free disk, it has 1 MB",
    ]


SERVER = replace(FINE, agent="0.1.0+abc", server=Server("web1", "ready", up=True))
TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "another agent": ({"agent": "0.1.0+old"}, "releasectl is another version (0.1.0+old, not 0.1.0+abc) -> fab high"),
    "an agent that does not say": ({"agent": ""}, "releasectl is another version (unknown, not 0.1.0+abc)"),
    "no units": ({"lacking": ("a.socket", "a.service")}, "not installed: a.socket, a.service -> fab highstate:prod"),
    "a fast clock": ({"skew": 3.44}, "its clock is 3.4 s ahead of ours, expected at most 2 s -> timedatectl"),
    "a slow clock": ({"skew": -60.0}, "its clock is 60.0 s behind ours"),
    "no such server": ({"server": None}, "the load balancer knows no such server -> fab highstate:prod"),
}


def test_a_server_as_it_should_be_has_no_problem(tmp_path: Path) -> None:
    assert server_problems(written(tmp_path), [SERVER, replace(SERVER, skew=1.9)], "0.1.0+abc") == []
    unasked = [replace(SERVER, server=None)]
    assert server_problems(written(tmp_path), unasked, "0.1.0+abc", balanced=False) == []


@pytest.mark.parametrize(("changes", "says"), TROUBLES.values(), ids=TROUBLES)
def test_what_is_wrong_with_a_server_says_what_to_type(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    (problem,) = server_problems(written(tmp_path), [replace(SERVER, **changes)], "0.1.0+abc")
    assert problem.startswith(f"web1: {says}")


FORMS = {"rpm": ["rpm"], "repository": ["rpm", "dnf"], "image": ["a Docker engine that answers at unix:///x"]}
WITH_WORKER = {"processes": {"worker": {"command": ["-m", "app"], "stop_seconds": 60}}}
NEEDS = {
    "files need nothing": ('artifact = "tree"', Lack(), ""),
    "an rpm needs rpm": ('artifact = "rpm"', Lack("rpm"), 'artifact = "rpm" needs rpm, which it has not'),
    "from a repository, dnf too": (
        'artifact = "rpm"\nrpm.source = "repository"',
        Lack("rpm"),
        "needs rpm and dnf, which",
    ),
    "an image needs an engine": (
        'artifact = "image"',
        Lack("image"),
        "needs a Docker engine that answers at unix:///x",
    ),
    "whatever new ones come as": ('artifact = "tree"', Lack("image"), 'artifact = "image" needs a Docker engine'),
}


@pytest.mark.parametrize(("artifact", "lack", "says"), NEEDS.values(), ids=NEEDS)
def test_a_server_has_what_the_form_of_a_release_needs(tmp_path: Path, artifact: str, lack: Lack, says: str) -> None:
    environment = written(tmp_path, f"{artifact}\n{SERVERS}")
    assert server_problems(environment, [replace(SERVER, lack=lack)], "0.1.0+abc") == []
    found = server_problems(environment, [replace(SERVER, lack=lack, forms=FORMS)], "0.1.0+abc")
    assert len(found) == bool(says)
    for problem in found:
        assert problem.startswith("web1: ")
        assert says in problem
        assert problem.endswith("-> fab highstate:prod")


@pytest.mark.parametrize(
    ("rule", "dirty", "refused"), [("refused", True, 1), ("refused", False, 0), ("allowed", True, 0)]
)
def test_changes_that_nobody_committed_stay_out_where_the_environment_says_so(
    tmp_path: Path, rule: str, dirty: bool, refused: int
) -> None:
    environment = written(tmp_path, f'dirty = "{rule}"\n{SERVERS}')
    problems = release_problems(environment, {"version": "1.0", "dirty": dirty, "contract": WITH_WORKER})
    assert len(problems) == refused
    assert all("release 1.0 has changes that nobody committed" in problem for problem in problems)


def test_what_the_release_needs_of_this_computer_is_asked_before_anything_is_touched(tmp_path: Path) -> None:
    packages = {name: ["no-such-package"] for name in ("debian", "redhat")}
    manifest = {"version": "1.0", "dirty": False, "contract": {"system_packages": packages}}
    local = 'transport = "local"\ndirectory = "var/x"\n[balancer]\nlisten = "127.0.0.1:1"\n'
    local += '[hosts.web1]\nroles = ["web"]\nlisten = "127.0.0.1:2"\n'
    (problem,) = release_problems(written(tmp_path, local), manifest)
    assert problem.startswith(
        "this computer: not installed: no-such-package (system_packages of the contract) -> as root"
    )
    assert release_problems(written(tmp_path, local), {**manifest, "contract": {}}) == []


def test_hosts_for_workers_need_a_release_with_one(tmp_path: Path) -> None:
    manifest = {"version": "1.0", "dirty": False, "contract": {}}
    (problem,) = release_problems(written(tmp_path), manifest)
    assert problem.startswith("web2: the role worker needs a process that release 1.0 has not")
    assert release_problems(written(tmp_path), {**manifest, "contract": WITH_WORKER}) == []


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Make a directory with a `bin/python` that a test can script."""
    (tmp_path / "bin").mkdir()
    return tmp_path


def scripted(release: Path, script: str) -> Path:
    """Let the release's interpreter be a shell script."""
    python = release / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return release


VARIABLES = Variables({"LEVEL": 'a "quoted" $value'}, {"KEY": Secret("s3cret")})


def test_the_release_itself_reads_the_variables_and_says_what_is_wrong(release: Path) -> None:
    scripted(
        release, f'cat "$5" >{release}/seen; echo \'{{"errors": [{{"variable": "A", "expected": "b", "got": "c"}}]}}\''
    )
    assert variable_problems(release, MANIFEST, VARIABLES) == ["A: expected b; got c"]
    assert (release / "seen").read_text() == 'LEVEL="a \\"quoted\\" $value"\nKEY="s3cret"\n'


def test_no_variable_reaches_the_check_through_its_environment(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVEL", "the operator's own")
    scripted(release, f"env >{release}/env; echo '{{\"errors\": []}}'")
    assert variable_problems(release, MANIFEST, VARIABLES) == []
    assert "LEVEL" not in (release / "env").read_text()
    assert "s3cret" not in (release / "env").read_text()


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo oops >&2; exit 3", "oops"), ("exit 3", "exit code 3"), ("echo '[]'", "[]")],
)
def test_a_check_that_fails_is_a_problem_and_no_traceback(release: Path, script: str, says: str) -> None:
    (problem,) = variable_problems(scripted(release, script), MANIFEST, VARIABLES)
    assert problem.startswith("the release can't check its variables")
    assert says in problem


PICKY = """
import json, sys
given = dict(line.rstrip().split("=", 1) for line in open(sys.argv[1]))
wrong = [name for name, value in given.items() if value in ('"owner"', '"LOUD"')]
print(json.dumps({"errors": [{"variable": name, "expected": "x", "got": given[name]} for name in wrong]}))
"""


def test_the_release_reads_what_the_migrate_command_gets_as_well(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong in both is told once, as the application's."""
    monkeypatch.setenv("SLIPWAY_LOCAL_OWNER", "o")
    local = read("local")
    wanted = Variables({"URL": "app", "LEVEL": "LOUD"}, {})
    (release / "check.py").write_text(PICKY)
    scripted(release, f'exec {sys.executable} {release}/check.py "$5"')
    assert migrate_problems(local, release, MANIFEST, wanted) == []
    entry = MigrateEntry(variables={"URL": "owner"}, secrets={"PASSWORD": "OWNER"})
    own = replace(local, directory=tmp_path, file=local.file.model_copy(update={"migrate": entry}))
    assert migrate_problems(own, release, MANIFEST, wanted) == ['for migrate: URL: expected x; got "owner"']


def test_an_application_without_a_check_has_none(release: Path) -> None:
    assert variable_problems(release, {"contract": {"commands": {}}}, VARIABLES) == []


def test_an_application_whose_data_are_files_has_one_server(tmp_path: Path) -> None:
    one = {**MANIFEST, "dirty": False, "version": "1", "contract": {**MANIFEST["contract"], "scale": "one"}}
    several = written(tmp_path)
    problems = [problem for problem in release_problems(several, one) if "scale" in problem]
    assert len(problems) == 1
    assert problems[0].startswith('web1, web2: the contract says scale = "one"')
    assert not [problem for problem in release_problems(read("local"), one) if "scale" in problem], "one computer"
