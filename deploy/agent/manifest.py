"""The manifest: all that the agent knows about a release."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from deploy.agent.errors import AgentError

NAME = "manifest.json"
SIGNATURE = "manifest.json.sig"  # beside it, and so in no list of files
SCHEMA = 1
INTERPRETER_LINK = "bin/python"
MODES = {"0644": False, "0755": True}

VERSION_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}\Z")
HALF = re.compile("[\ud800-\udfff]")  # of a character: a lone surrogate
MAX_PROBLEMS = 20
MOST_SECONDS = 1e9  # and of workers, and of what else is counted


class File(NamedTuple):
    """A regular file of a release."""

    sha256: str
    size: int
    executable: bool


class Manifest(NamedTuple):
    """A release's contents and contract; `digest` is the sha256 of the bytes it was read from."""

    version: str
    digest: str
    raw: Mapping[str, Any]
    text: bytes
    files: Mapping[str, File]
    links: Mapping[str, str]

    @property
    def contract(self) -> Mapping[str, Any]:
        """Read the app's contract: app, server, health, commands."""
        contract = self.raw["contract"]
        assert isinstance(contract, dict)
        return contract


def read(data: bytes) -> Manifest:
    """Read a manifest that was validated when its release was assembled.

    Raises: AgentError bad-manifest.
    """
    try:
        raw = json.loads(data)
        files = {f["path"]: File(f["sha256"], f["size"], MODES[f["mode"]]) for f in raw["files"] if "link" not in f}
        links = {f["path"]: f["link"] for f in raw["files"] if "link" in f}
        return Manifest(raw["version"], digest_of(data), raw, data, files, links)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AgentError("bad-manifest", f"{NAME} can't be read: {type(error).__name__}: {error}") from None


def digest_of(data: bytes) -> str:
    """Give what identifies a manifest, and with it a release."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> Manifest:
    """Read a manifest from outside, and refuse what could not be a release, with all reasons at once.

    Raises: AgentError bad-manifest.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AgentError("bad-manifest", f"{NAME} is not JSON: {error}", hint="build the release again") from None
    problems = _problems(raw)
    if problems:
        shown = "; ".join(problems[:MAX_PROBLEMS])
        more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        raise AgentError("bad-manifest", f"{NAME} is refused: {shown}{more}", hint="build the release again")
    return read(data)


def _problems(raw: Any) -> list[str]:
    if not isinstance(raw, dict):
        return ["it is not an object"]
    if raw.get("schema") != SCHEMA:
        return [f"schema is {raw.get('schema')!r}, this agent knows {SCHEMA}; update the agent"]
    problems = []
    if not isinstance(raw.get("version"), str) or not VERSION_PATTERN.match(raw["version"]):
        problems.append(f"version {raw.get('version')!r} can't name a directory")
    for key in ("python", "platform", "interpreter"):
        if not isinstance(raw.get(key), str):
            problems.append(f"{key} is missing")
    problems += _head_problems(raw)
    problems += _contract_problems(raw.get("contract"))
    if not isinstance(raw.get("files"), list) or not raw["files"]:
        return [*problems, "files is missing or empty"]
    links = raw["contract"].get("links") if isinstance(raw.get("contract"), dict) else None
    for entry in raw["files"]:
        problems += _entry_problems(entry, raw.get("interpreter"), links)
    return problems or _tree_problems(raw["files"])


def _head_problems(raw: Mapping[str, Any]) -> list[str]:
    """Look at what is no file, and yet read whenever somebody asks how this server is."""
    problems = []
    if not isinstance(raw.get("name", ""), str) or not re.match(r"[\w.-]*\Z", raw.get("name", ""), re.ASCII):
        problems.append(f"name {str(raw.get('name'))[:60]!r} can't name a user")
    if not isinstance(raw.get("commit"), (str, type(None))):
        problems.append("commit must be text")
    if not isinstance(raw.get("distributions", {}), dict):
        problems.append("distributions must be versions by name")
    migrations = raw.get("migrations", [])
    if not isinstance(migrations, list) or not all(
        isinstance(each, dict) and all(isinstance(each.get(key), str) for key in ("revision", "kind"))
        for each in migrations
    ):
        problems.append("migrations must hold revisions, each with its kind")
    return problems


def _contract_problems(contract: Any) -> list[str]:
    if not isinstance(contract, dict):
        return ["contract is missing"]
    problems = []
    if not _is_text(contract.get("app")) or contract["app"].startswith("-"):
        problems.append("contract.app is not module:callable")
    server = contract.get("server", {})
    health = contract.get("health", {})
    commands = contract.get("commands", {})
    if not isinstance(server, dict) or not all(map(_is_number, server.values())):
        problems.append("contract.server must hold numbers")
    if not isinstance(health, dict) or any(
        not isinstance(health.get(key, "/"), str) or not re.match(r"/[!-~]*\Z", health.get(key, "/"))
        for key in ("live", "ready")
    ):
        problems.append("contract.health.live and ready must be paths")
    elif not re.match(r"[!-~]+\Z", str(health.get("host", "localhost"))):
        problems.append("contract.health.host must be a host name")
    if not isinstance(commands, dict) or any(
        not isinstance(argv, list) or not all(map(_is_text, argv)) for argv in commands.values()
    ):
        problems.append("contract.commands must hold lists of strings")
    problems += _process_problems(contract.get("processes", {}))
    if not _are_pages(contract.get("smoke", [])):
        problems.append("contract.smoke must hold paths, each with a status")
    files, folders = contract.get("config_files", {}), contract.get("state_dirs", [])
    if not isinstance(files, dict) or not all(map(_is_text, files.values())):
        problems.append("contract.config_files must hold names of secrets")
    places = [*_values(contract.get("links", {})), *_keys(files)]
    places += folders if isinstance(folders, list) else [None]
    problems += [f"contract: {why}" for place in places if (why := path_problem(place))]
    return problems


def _values(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, dict) else [None]


def _keys(table: Any) -> list[Any]:
    return list(table) if isinstance(table, dict) else [None]


def _process_problems(processes: Any) -> list[str]:
    found = list(processes.values()) if isinstance(processes, dict) else [None]
    return [] if all(map(_is_process, found)) else ["contract.processes must hold commands and seconds"]


def _is_process(value: Any) -> bool:
    """What is unknown is left alone: a later contract may say more."""
    if not isinstance(value, dict):
        return False
    command, seconds = value.get("command"), value.get("stop_seconds")
    words = isinstance(command, list) and command and all(map(_is_text, command))
    return bool(words) and _is_number(seconds)


def _are_pages(pages: Any) -> bool:
    return isinstance(pages, list) and all(
        isinstance(page, dict)
        and isinstance(page.get("path"), str)
        and bool(re.match(r"/[!-~]*\Z", page["path"]))
        and type(page.get("status")) is int
        and isinstance(page.get("text"), (str, type(None)))
        for page in pages
    )


def _is_text(value: Any) -> bool:
    """Tell whether it can be a word on a command line."""
    return isinstance(value, str) and "\0" not in value and not HALF.search(value)


def _is_number(value: Any) -> bool:
    """Tell whether it can be a number of seconds, or of workers."""
    return type(value) in (int, float) and 0 <= value <= MOST_SECONDS


def path_problem(path: Any) -> str | None:
    """Say why a path may not be part of a release, if so."""
    if not isinstance(path, str) or not path:
        return f"path {path!r} is not a string"
    if path.startswith("/"):
        return f"path {path!r} is absolute"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return f"path {path!r} has an empty, '.' or '..' part"
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in path):
        return f"path {path!r} has control characters"
    if len(path.encode()) > 4000 or any(len(part.encode()) > 255 for part in path.split("/")):
        return f"path {path[:60]!r}... is too long"
    if path in (NAME, SIGNATURE):
        return f"path {path!r} is the manifest's own"
    return None


def link_problem(path: str, target: Any, interpreter: Any, states: Any = None) -> str | None:
    """Say why a symbolic link is refused, if so. Only bin/python may leave the release, and links into the state.

    `states` are those that the contract names: a path to its place below the state directory.

    Inner links climb with leading `..` only: `a/link/..` may lead anywhere once `a/link` is itself a link.
    """
    if not isinstance(target, str) or not target or "\0" in target:
        return f"link {path!r} has no target"
    if path == INTERPRETER_LINK:
        return None if target == interpreter else f"link {path!r} leads to {target!r}, not to {interpreter!r}"
    if isinstance(states, dict) and path in states:
        expected = f"{'../' * (path.count('/') + 2)}state/{states[path]}"
        plain = path_problem(states[path]) is None
        return None if plain and target == expected else f"link {path!r} leads to {target!r}, not into the state"
    if target.startswith("/"):
        return f"link {path!r} leads out of the release: {target!r}"
    parts = target.split("/")
    climb = 0
    while climb < len(parts) and parts[climb] == "..":
        climb += 1
    if climb > path.count("/"):
        return f"link {path!r} leads out of the release: {target!r}"
    if any(part in ("", ".", "..") for part in parts[climb:]):
        return f"link {path!r} has a target that is not plain: {target!r}"
    return None


def _entry_problems(entry: Any, interpreter: Any, links: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"entry {entry!r} is not an object"]
    path: Any = entry.get("path")
    found = [path_problem(path)]
    if found[0] is None:
        if "link" in entry:
            found.append(link_problem(path, entry["link"], interpreter, links))
            if "sha256" in entry:
                found.append(f"{path!r} is both file and link")
        else:
            if not isinstance(entry.get("mode"), str) or entry["mode"] not in MODES:
                found.append(f"{path!r} has mode {entry.get('mode')!r}, expected 0644 or 0755")
            if type(entry.get("size")) is not int or entry["size"] < 0:
                found.append(f"{path!r} has size {entry.get('size')!r}")
            if not isinstance(entry.get("sha256"), str) or not SHA256_PATTERN.match(entry["sha256"]):
                found.append(f"{path!r} has no sha256")
    return [problem for problem in found if problem]


def _tree_problems(entries: list[dict[str, Any]]) -> list[str]:
    paths: set[str] = set()
    problems = []
    sizes: dict[str, int] = {}
    for entry in entries:
        path = entry["path"]
        if path in paths:
            problems.append(f"path {path!r} comes twice")
        paths.add(path)
        if "sha256" in entry and sizes.setdefault(entry["sha256"], entry["size"]) != entry["size"]:
            problems.append(f"{path!r} has another size than its twin of the same sha256")
    folders = {path[:i] for path in paths for i, char in enumerate(path) if char == "/"}
    problems += [f"path {path!r} is a folder and a file or link" for path in sorted(folders & paths)]
    if not any(entry["path"] == INTERPRETER_LINK and "link" in entry for entry in entries):
        problems.append(f"link {INTERPRETER_LINK!r} is missing")
    return problems
