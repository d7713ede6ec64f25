"""Which file of a release lies in which layer of the image. Runs by itself in the Dockerfile: standard library only.

    python -ISB layers.py TREE FILES INTO

The dependencies are one layer, the app is the next: a change of the app then costs the app, for the engine knows a
layer by its bytes. That is why the tree lies at `/opt/<name>/release`, a path that is the same for every version (the
version in it would make each file of each version another one), and `/opt/<name>/releases/<version>` leads there.
"""

import csv
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

PORT = 8000
USER = 10001  # a number: orchestrators can tell that it is not root, and no file of the base has to be edited
ENTRYPOINT = "usr/local/bin/entrypoint"
HEALTHCHECK = "usr/local/lib/slipway/healthcheck.py"
FURNISH = "usr/local/lib/slipway/furnish.py"
KEPT = ("links", "config_files", "state_dirs")  # keys of a contract whose app finds something in the state directory


class Entry(NamedTuple):
    """A member of a layer: a file (by `source` or `data`), a link, or else a folder."""

    path: str
    mode: int = 0o755
    owner: int = 0
    source: Path | None = None
    data: bytes | None = None
    link: str | None = None


class Parts(NamedTuple):
    """The two layers of a release, each sorted, folders before what lies in them."""

    dependencies: tuple[Entry, ...]
    app: tuple[Entry, ...]


def split(tree: Path, files: Path) -> Parts:
    """Divide a release tree; `files` is the folder of the entrypoint and the health check."""
    manifest = json.loads((tree / "manifest.json").read_text(encoding="utf-8"))
    name, version = manifest["name"], manifest["version"]
    owned, top = app_paths(tree, manifest), f"opt/{name}/release"
    beside = {path.name for path in tree.iterdir() if path.is_file()} - {entry["path"] for entry in manifest["files"]}
    both: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in manifest["files"]:
        own = entry["path"] in owned or _is_of_the_release(entry["path"])
        both[own].append(_entry(tree, top, entry))
    app = [
        *both[True],
        *(
            Entry(f"{top}/{file}", 0o644, source=tree / file) for file in beside
        ),  # the manifest, and what vouches for it
        Entry(f"opt/{name}/releases/{version}", 0o777, link="../release"),
        Entry(ENTRYPOINT, data=entrypoint((files / "entrypoint.sh.in").read_text(encoding="utf-8"), manifest)),
        Entry(HEALTHCHECK, 0o644, source=files / "healthcheck.py"),
        Entry(f"var/lib/{name}", 0o700, USER),
    ]
    if keeps(manifest["contract"]):
        app.append(Entry(FURNISH, 0o644, source=files / "furnish.py"))
        # Links of a release lead two folders up from it, and it lies one folder higher than on a server.
        app.append(Entry("opt/state", 0o777, link=state_of(name)))
    return Parts(_with_folders(both[False]), _with_folders(app))


def app_paths(tree: Path, manifest: Mapping[str, Any]) -> set[str]:
    """List the files that the app's own wheel brought: those in its RECORD, and that file."""
    site = f"lib/python{manifest['python']}/site-packages"
    distribution = re.sub(r"[-_.]+", "_", manifest["name"])
    record = f"{site}/{distribution}-{manifest['version']}.dist-info/RECORD"
    with (tree / record).open(encoding="utf-8", newline="") as file:
        return {record, *(os.path.normpath(f"{site}/{row[0]}") for row in csv.reader(file) if row)}


def keeps(contract: Mapping[str, Any]) -> bool:
    """Say whether something has to be laid out in the state directory before the app starts."""
    return any(contract.get(key) for key in KEPT)


def state_of(name: str) -> str:
    """Say where that is: where it is on a server, too, and within the volume of a container."""
    return f"/var/lib/{name}/state"


def entrypoint(template: str, manifest: Mapping[str, Any]) -> bytes:
    """Fill the entrypoint from what the manifest says of the app."""
    contract, release = manifest["contract"], f"/opt/{manifest['name']}/releases/{manifest['version']}"
    program = f"bin/{manifest['name']}"
    has_program = any(entry["path"] == program for entry in manifest["files"])
    values = {
        "name": (manifest["name"],),
        "release": (release,),
        "bind": (f"0.0.0.0:{PORT}",),
        "furnish": (":",),
        "gunicorn": gunicorn(manifest),
        "healthcheck": (f"/{HEALTHCHECK}",),
        "ready": (contract["health"]["ready"],),
        "host": (contract["health"]["host"],),
        "port": (str(PORT),),
        "program": (f"{release}/{program}" if has_program else f"{release}/bin/python",),
        **{command: _command(manifest, command) for command in ("migrate", "seed")},
        **{process: _process(manifest, process) for process in ("worker", "scheduler")},
    }
    if keeps(contract):
        values["furnish"] = (f"{release}/bin/python", "-ISB", f"/{FURNISH}", f"{release}/manifest.json")
        values["furnish"] += (state_of(manifest["name"]),)
    filled = re.sub(r"@([a-z]+)@", lambda match: shlex.join(values[match[1]]), template)
    return filled.encode()


def gunicorn(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Answer gunicorn's arguments: those that the agent gives it on a server; a test compares them."""
    server = manifest["contract"]["server"]
    major = manifest["distributions"].get("gunicorn", "0").split(".")[0]
    contract = manifest["contract"]
    threads = server["threads"] if "worker_class" not in contract else 1
    return (
        *([] if contract.get("no_preload") else ["--preload"]),
        *("--worker-class", contract.get("worker_class", "gthread"), "--name", manifest["name"]),
        *("--workers", str(server["workers"]), "--threads", str(threads)),
        *("--timeout", str(server["timeout"]), "--graceful-timeout", str(server["graceful_timeout"])),
        # Memory, always writable in a container: the root file system is not.
        *("--keep-alive", str(server["keepalive"]), "--worker-tmp-dir", "/dev/shm"),  # noqa: S108
        *(["--forwarded-allow-ips", "*"] if contract.get("proxy_scheme") else []),
        *(["--no-control-socket"] if major.isdigit() and int(major) >= 25 else []),
        manifest["contract"]["app"],
    )


def _is_of_the_release(path: str) -> bool:
    """Say whether a file tells of this one version, as the bill of materials does: those lie at the top."""
    return "/" not in path and path != "pyvenv.cfg"


def _command(manifest: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Answer a command's arguments; an app that has no such command says so when it is asked.

    By hand, `migrate` goes as far as the release knows.
    """
    contract, migrations = manifest["contract"], manifest.get("migrations", [])
    last = str(migrations[-1]["revision"]) if migrations else "head"
    missing = f"the contract of this app has no command {name!r}: [tool.slipway.commands]"
    words = contract["commands"].get(name) or ("-c", f"import sys; sys.exit({missing!r})")
    return tuple(word.replace("{revision}", last) for word in words)


def _process(manifest: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Answer the arguments of what runs beside the web server; an app without it says so when it is asked."""
    missing = f"the contract of this app has no process {name!r}: [tool.slipway.processes.{name}]"
    found = manifest["contract"].get("processes", {}).get(name, {}).get("command")
    return tuple(found or ("-c", f"import sys; sys.exit({missing!r})"))


def _entry(tree: Path, top: str, entry: Mapping[str, Any]) -> Entry:
    path = f"{top}/{entry['path']}"
    if "link" in entry:
        return Entry(path, 0o777, link=entry["link"])
    return Entry(path, int(entry["mode"], 8), source=tree / entry["path"])


def _with_folders(entries: list[Entry]) -> tuple[Entry, ...]:
    """Add each folder on the way: a layer says the mode and time of all that it touches."""
    named = {entry.path: entry for entry in entries}
    for path in list(named):
        for parent in list(PurePosixPath(path).parents)[:-1]:
            named.setdefault(str(parent), Entry(str(parent)))
    return tuple(entry for _, entry in sorted(named.items()))


def write(entries: tuple[Entry, ...], into: Path) -> None:
    """Lay the members of a layer out as files, for COPY; owners are the Dockerfile's business."""
    for entry in entries:
        path = into / entry.path
        if entry.link is not None:
            path.symlink_to(entry.link)
        elif entry.source is not None:
            shutil.copyfile(entry.source, path)
        elif entry.data is not None:
            path.write_bytes(entry.data)
        else:
            path.mkdir(parents=True)
        if entry.link is None:
            path.chmod(entry.mode)


def _named(parts: Parts) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    yield from zip(Parts._fields, parts, strict=True)


if __name__ == "__main__":
    for layer, members in _named(split(Path(sys.argv[1]), Path(sys.argv[2]))):
        write(members, Path(sys.argv[3], layer))
