"""What the agent's tests share: a small real release, and ways to call the agent."""

from __future__ import annotations

import compileall
import hashlib
import http.client
import io
import json
import os
import py_compile
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from deploy.agent.channel import Channel
from deploy.agent.cli import answer
from deploy.agent.layout import Layout

HERE = Path(__file__).parent
INTERPRETER = os.path.realpath(sys.executable)
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
PLATFORM = f"{sys.platform}-{os.uname().machine}"
CONTRACT: dict[str, Any] = {
    "app": "tiny:application",
    "server": {"workers": 2, "threads": 4, "timeout": 30, "graceful_timeout": 5, "keepalive": 75},
    "health": {"live": "/livez", "ready": "/readyz", "host": "localhost", "deadline": 10},
    "processes": {
        "worker": {"command": ["-m", "tiny_worker"], "stop_seconds": 20},
        "scheduler": {"command": ["-m", "tiny_scheduler"], "stop_seconds": 20},
    },
    "commands": {"migrate": ["-c", "import os; print('migrated', os.environ['RELEASE_GENERATION'])"]},
}


class AgentFailure(Exception):
    """The agent's error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(json.dumps(error, indent=1))
        self.error = dict(error)

    @property
    def code(self) -> str:
        """Give the stable code."""
        return str(self.error["code"])


def sha256(data: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(data).hexdigest()


def tar(contents: Mapping[str, bytes]) -> bytes:
    """Pack contents as `receive` takes them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def manifest_of(files: Mapping[str, bytes], version: str = "1.0", /, **changes: Any) -> dict[str, Any]:
    """Describe a release that has these files; those under bin/ are executable."""
    entries: list[dict[str, Any]] = [{"path": "bin/python", "link": INTERPRETER}]
    for path, data in files.items():
        mode = "0755" if path.startswith("bin/") else "0644"
        entries.append({"path": path, "mode": mode, "size": len(data), "sha256": sha256(data)})
    described = {
        "schema": 1, "name": "tiny", "version": version, "commit": "0" * 40, "dirty": False,
        "source_date_epoch": 1700000000, "python": PYTHON, "platform": PLATFORM, "interpreter": INTERPRETER,
        "lock_sha256": "0" * 64, "distributions": {"gunicorn": metadata.version("gunicorn")}, "contract": CONTRACT,
        "migrations": [{"revision": "0001", "down_revision": None, "kind": "expand", "summary": "first"}],
        "files": sorted(entries, key=lambda entry: str(entry["path"])),
    }  # fmt: skip
    return {**described, **changes}


def text_of(manifest: Mapping[str, Any]) -> str:
    """Write a manifest as its bytes are."""
    return json.dumps(manifest, sort_keys=True, indent=1) + "\n"


@dataclass
class Release:
    """A release on the operator's side."""

    version: str
    files: dict[str, bytes] = field(repr=False)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Give manifest.json."""
        return text_of(manifest_of(self.files, self.version, **self.changes))

    @property
    def digest(self) -> str:
        """Give the sha256 of manifest.json."""
        return sha256(self.text.encode())

    @property
    def contents(self) -> dict[str, bytes]:
        """Give the contents by hash."""
        return {sha256(data): data for data in self.files.values()}

    def variant(self, version: str, **changes: Any) -> Release:
        """Make another version of the same app."""
        return Release(version, {**self.files, "VERSION": version.encode()}, {**self.changes, **changes})


def small(version: str = "1.0", **files: bytes) -> Release:
    """Make a release of a few files that can't serve."""
    return Release(version, {"bin/tool": b"#!tool\n", "lib/a.py": b"a = 1\n", "lib/deep/b.py": b"", **files})


def real(folder: Path) -> Release:
    """Make a release that really serves: gunicorn and a tiny app, compiled once."""
    site = folder / "lib" / f"python{PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    for name in ("gunicorn", "packaging"):
        distribution = metadata.distribution(name)
        source = Path(str(distribution.locate_file(name)))
        shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("__pycache__"))
        info = f"{name}-{distribution.version}.dist-info"
        shutil.copytree(source.parent / info, site / info)
    shutil.copyfile(HERE / "tiny_app.py", site / "tiny.py")
    for program in ("tiny_worker.py", "tiny_scheduler.py"):
        shutil.copyfile(HERE / program, site / program)
    compileall.compile_dir(site, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(
        f"home = {Path(INTERPRETER).parent}\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    )
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return Release("1.0", files)


@dataclass
class Caller:
    """Call the agent as the operator's side does: one process a request."""

    command: list[str]
    root: Path
    events: list[dict[str, Any]] = field(default_factory=list)

    def argv(self, verb: str) -> list[str]:
        """Give the command line of a verb."""
        return [*self.command, "--root", str(self.root), verb]

    def __call__(self, verb: str, payload: bytes = b"", **arguments: Any) -> dict[str, Any]:
        """Carry out one verb.

        Raises: AgentFailure.
        """
        request = json.dumps({"id": 1, "verb": verb, **arguments}).encode() + b"\n" + payload
        done = subprocess.run(self.argv(verb), input=request, capture_output=True, timeout=60, check=False)
        assert done.stderr == b"", done.stderr.decode()
        self.events, answer = self.read(done.stdout)
        assert done.returncode == (0 if answer["ok"] else 1)
        if not answer["ok"]:
            raise AgentFailure(answer["error"])
        return dict(answer["result"])

    @staticmethod
    def read(output: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Split an answer into events and the result."""
        *events, answer = [json.loads(line) for line in output.splitlines()]
        assert all("event" in event for event in events)
        return events, answer

    def stage(self, release: Release) -> None:
        """Bring a release to the server; within this process, as that is no test of its own."""
        layout = Layout.under(self.root)
        missing = call(layout, "missing", hashes=sorted(release.contents))["missing"]
        payload = tar({name: data for name, data in release.contents.items() if name in missing})
        if missing:
            call(layout, "receive", payload, encoding="identity", length=len(payload))
        call(layout, "assemble", manifest=release.text)

    def prepare(self, number: int, release: Release, **variables: str) -> None:
        """Stage a release and make a generation of it."""
        self.stage(release)
        call(
            Layout.under(self.root), "prepare", generation=number, version=release.version, digest=release.digest,
            variables=variables, secrets={"SECRET_KEY": "hunter2"},
        )  # fmt: skip


def call(layout: Layout, verb: str, payload: bytes = b"", **arguments: Any) -> dict[str, Any]:
    """Carry out a verb within this process.

    Raises: AgentFailure.
    """
    target = io.BytesIO()
    channel = Channel(io.BytesIO(payload), target, session=True)
    ok = answer(layout, channel, {"verb": verb, **arguments})
    said = json.loads(target.getvalue().splitlines()[-1])
    if not ok:
        raise AgentFailure(said["error"])
    return dict(said["result"])


def receive_request(release: Release) -> dict[str, Any]:
    """Give the request that sends all of a release's contents, for `call`."""
    payload = tar(release.contents)
    return {"verb": "receive", "payload": payload, "length": len(payload)}


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/", host: str = "127.0.0.1") -> tuple[int, dict[str, Any]]:
    """Send one request to a server, on this machine unless said otherwise."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def eventually(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Wait until a check gives something true."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def settled(agent: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Ask for the status when both workers of every generation are there: the first may be ready before the second."""

    def look() -> dict[str, Any] | None:
        status = agent("status")
        return status if all(process["workers"] == 2 for process in status["processes"]) else None

    return steady(dict(eventually(look, 30)))


def steady(status: Mapping[str, Any]) -> dict[str, Any]:
    """Give a status without what changes by itself: how much memory a process has."""
    processes = [{k: v for k, v in process.items() if k != "memory"} for process in status["processes"]]
    return {**status, "processes": processes}


class Queue:
    """What tiny_worker.py works on."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "queue"

    def put(self, name: str, seconds: float = 0) -> None:
        """Add a job."""
        (self.folder / "new").mkdir(parents=True, exist_ok=True)
        aside = self.folder / name
        aside.write_text(str(seconds))
        aside.rename(self.folder / "new" / name)

    def taken(self, name: str) -> bool:
        """Tell whether somebody is at a job."""
        return (self.folder / "taken" / name).exists()

    def done(self) -> dict[str, str]:
        """Map each job that was done to the generation that did it; nobody does one twice."""
        path = self.folder / "done"
        lines = path.read_text().splitlines() if path.exists() else []
        pairs = [(line.split()[0], line.split()[1]) for line in lines]
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)


def tree(root: Path, *, but: Iterable[str] = ()) -> dict[str, Any]:
    """Describe everything under a directory, to compare before and after."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if any(name == skip or name.startswith(f"{skip}/") for skip in but):
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = (path.read_bytes(), path.stat().st_mode)
        else:
            found[name] = "folder"
    return found


def outcome(clients: subprocess.Popen[str]) -> dict[str, Any]:
    """Stop the clients of load.py and give what they counted."""
    clients.terminate()
    return dict(json.loads(clients.communicate(timeout=30)[0]))
