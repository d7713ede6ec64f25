"""The manifest comes from outside: whatever could not be a release is refused, with all reasons at once."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.agent import host, manifest
from deploy.agent.errors import AgentError
from tests.deploy.agent.kit import INTERPRETER, manifest_of, text_of

FILE = {"mode": "0644", "size": 1, "sha256": "a" * 64}


def parse(described: dict[str, Any]) -> manifest.Manifest:
    return manifest.parse(text_of(described).encode())


def with_entries(*entries: dict[str, Any]) -> dict[str, Any]:
    described = manifest_of({"lib/a.py": b"a"})
    described["files"] = [*described["files"], *entries]
    return described


def test_a_good_manifest_is_read() -> None:
    """Files, links and digest are there; symbolic links within the release are fine."""
    found = parse(with_entries({"path": "lib64", "link": "lib"}, {"path": "x/y", "link": "../lib/a.py"}))
    assert found.files["lib/a.py"].size == 1
    assert found.links == {"bin/python": INTERPRETER, "lib64": "lib", "x/y": "../lib/a.py"}
    assert len(found.digest) == 64


REFUSED = {
    "absolute path": ({"path": "/etc/passwd", **FILE}, "absolute"),
    "parent path": ({"path": "lib/../../x", **FILE}, "'..'"),
    "empty part": ({"path": "lib//x", **FILE}, "empty"),
    "the manifest itself": ({"path": "manifest.json", **FILE}, "own"),
    "control character": ({"path": "lib/a\nb", **FILE}, "control"),
    "NUL": ({"path": "lib/a\0b", **FILE}, "control"),
    "lone surrogate": ({"path": "lib/\udc80", **FILE}, "control"),
    "long name": ({"path": "x" * 256, **FILE}, "too long"),
    "not a string": ({"path": 7, **FILE}, "not a string"),
    "twice": ({"path": "lib/a.py", **FILE}, "twice"),
    "folder and file": ({"path": "lib", **FILE}, "folder and a file"),
    "below a link": ({"path": "bin/python/x", **FILE}, "folder and a file"),
    "setuid": ({"path": "x", **FILE, "mode": "4755"}, "mode"),
    "world-writable": ({"path": "x", **FILE, "mode": "0666"}, "mode"),
    "negative size": ({"path": "x", **FILE, "size": -1}, "size"),
    "size is true": ({"path": "x", **FILE, "size": True}, "size"),
    "short hash": ({"path": "x", **FILE, "sha256": "a" * 63}, "sha256"),
    "hash with path": ({"path": "x", **FILE, "sha256": "../" + "a" * 61}, "sha256"),
    "absolute link": ({"path": "x", "link": "/etc"}, "out of the release"),
    "climbing link": ({"path": "a/x", "link": "../../y"}, "out of the release"),
    "link through a link": ({"path": "a/x", "link": "b/../.."}, "not plain"),
    "empty link": ({"path": "a/x", "link": ""}, "no target"),
    "file and link": ({"path": "x", "link": "lib", **FILE}, "both"),
    "mode is a list": ({"path": "x", **FILE, "mode": []}, "mode"),
    "no object": (["path"], "not an object"),
}


@pytest.mark.parametrize(("entry", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_malicious_entry_is_refused(entry: Any, reason: str) -> None:
    """Nothing can be written outside the release, and no mode but two."""
    with pytest.raises(AgentError) as caught:
        parse(with_entries(entry))
    assert caught.value.code == "bad-manifest"
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "update the agent"),
        ({"version": "../x"}, "can't name a directory"),
        ({"version": ".hidden"}, "can't name a directory"),
        ({"version": None}, "can't name a directory"),
        ({"contract": []}, "contract is missing"),
        ({"contract": {"app": "-c evil"}}, "module:callable"),
        ({"contract": {"app": "a:b", "server": {"workers": "2; rm"}}}, "numbers"),
        ({"contract": {"app": "a:b", "health": {"live": "x y"}}}, "paths"),
        ({"contract": {"app": "a:b", "health": {"host": "a\r\nb"}}}, "host name"),
        ({"contract": {"app": "a:b", "commands": {"migrate": "rm -rf"}}}, "lists of strings"),
        ({"contract": {"app": "a:b", "processes": {"worker": {"command": "x", "stop_seconds": 1}}}}, "and seconds"),
        ({"contract": {"app": "a:b", "processes": {"worker": {"command": ["x"]}}}}, "commands and seconds"),
        ({"contract": {"app": "a\0b"}}, "module:callable"),
        ({"contract": {"app": "a:b", "server": {"timeout": float("inf")}}}, "numbers"),
        ({"contract": {"app": "a:b", "state_dirs": 5}}, "not a string"),
        ({"contract": {"app": "a:b", "config_files": {"a": 5}}}, "names of secrets"),
        ({"contract": {"app": "a:b", "smoke": [{"path": "/"}]}}, "each with a status"),
        ({"migrations": 5}, "migrations must hold"),
        ({"migrations": [{"revision": None, "kind": "expand"}]}, "migrations must hold"),
        ({"distributions": []}, "versions by name"),
        ({"name": "../other"}, "can't name a user"),
        ({"files": []}, "empty"),
        ({"interpreter": None}, "interpreter is missing"),
        ({"interpreter": "/usr/bin/other"}, "bin/python"),
    ],
)
def test_a_wrong_head_is_refused(changes: dict[str, Any], reason: str) -> None:
    """The head of the manifest decides what is run: it is checked as well."""
    with pytest.raises(AgentError, match=reason):
        parse(manifest_of({"lib/a.py": b"a"}, **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "[" * 100_000, '{"schema": 1}', "{}"])
def test_no_manifest_at_all(text: str) -> None:
    """Broken JSON and other values are errors, never a traceback."""
    with pytest.raises(AgentError) as caught:
        manifest.parse(text.encode())
    assert caught.value.code == "bad-manifest"


def test_all_problems_are_reported_together() -> None:
    """An operator sees every problem of a manifest in one go."""
    with pytest.raises(AgentError) as caught:
        parse(with_entries({"path": "/x", **FILE}, {"path": "../y", **FILE}, {"path": "z", **FILE, "mode": "1"}))
    assert all(word in caught.value.message for word in ("'/x'", "'../y'", "'z'"))


PARTS = st.sampled_from(["", ".", "..", "a", "b", "lib", "é", "a\0", "\n", "x" * 300])


@given(st.lists(PARTS, max_size=5).map("/".join))
def test_an_accepted_path_stays_inside(path: str) -> None:
    """Whatever is accepted is, normalised, itself and below the release."""
    if manifest.path_problem(path) is None:
        assert posixpath.normpath(path) == path
        assert not posixpath.isabs(path)
        assert ".." not in path.split("/")


@given(st.lists(PARTS, max_size=6).map("/".join), st.sampled_from(["l", "a/l", "a/b/l"]))
def test_an_accepted_link_stays_inside(target: str, path: str) -> None:
    """Wherever an accepted link leads is below the release, even when its target's parts are links themselves."""
    if manifest.link_problem(path, target, INTERPRETER) is None:
        joined = posixpath.normpath(posixpath.join("/root", posixpath.dirname(path), target))
        assert joined == "/root" or joined.startswith("/root/")
        plain = target.lstrip("./")
        assert ".." not in plain.split("/")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({}, None, []),
        ({"platform": "sunos-sparc"}, "wrong-platform", ["sunos-sparc", host.platform()]),
        ({"interpreter": "/nowhere/python3.11"}, "no-python", ["/nowhere/python3.11", "apt install"]),
        ({"python": "2.7"}, "wrong-python", ["2.7", "[tool.slipway]"]),
    ],
)
def test_a_release_for_another_machine_is_refused(changes: dict[str, Any], code: str | None, words: list[str]) -> None:
    """The error names what was expected, what is here, and what to do."""
    described = manifest_of({"lib/a.py": b"a"}, **changes)
    found = manifest.read(text_of(described).encode())
    if code is None:
        return host.check(found)
    with pytest.raises(AgentError) as caught:
        host.check(found)
    assert caught.value.code == code
    said = f"{caught.value.message} {caught.value.fields}"
    assert all(word in said for word in words)
    return None


def test_the_version_of_an_interpreter_without_one_in_its_name() -> None:
    """It is asked when its name does not tell."""
    assert host.interpreter_version("/bin/sh") == "unknown"


def test_root_runs_no_python_that_somebody_else_can_change(tmp_path: Path) -> None:
    """Or whoever may call the agent could have it run anything, by a manifest that names it."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho 3.11\n")
    program.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(program, 65534, 65534)
        wanted = manifest_of({"lib/a.py": b"a"}, interpreter=str(program), python="3.11")
        wanted["files"][0]["link"] = str(program)
        with pytest.raises(AgentError, match="others than root can change") as caught:
            host.check(parse(wanted))
        assert caught.value.code == "no-python"
        assert not (tmp_path / "ran").exists()
    assert host.changeable(str(program)) == str(program)
    (tmp_path / "python3.11").symlink_to(program)
    assert host.changeable(str(tmp_path / "python3.11")) == str(program)
    assert host.changeable("/usr/bin/env") == ""
