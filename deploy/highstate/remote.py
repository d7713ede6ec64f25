"""What runs on a server during a highstate: it takes Salt, states and pillar from its input, and runs them.

Sent over SSH and run by the server's own Python: standard library only, Python 3.9. It reads one JSON line, the
request; says what it has; reads one JSON line with the lengths of what it is sent, and that; and answers in JSON lines.
Once states run they run to their end, whether or not anybody still listens: half a highstate helps nobody.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

SALT_CALLS = ("/usr/bin/salt-call", "/usr/local/bin/salt-call", "/opt/saltstack/salt/salt-call")
STOP = b"stop"  # the operator's word: end the state at work, and begin no other
STOPPED = "not run: the operator stopped the highstate"  # says run_states.py of the others
BUSY_WAIT = 600.0  # seconds that another highstate, or the package manager, may take
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
WRAPPER = """#!/bin/sh
# Written by Slipway: {what}
exec {salt} --config-dir={config} {words}"$@"
"""


class Problem(Exception):
    """Something the operator can mend."""


def tell(**event: Any) -> None:
    """Say something to the operator, if anybody is still there."""
    try:
        sys.stdout.write(f"{json.dumps(event)}\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (for good)


class Server:
    """The places of a server, and what is done there."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.name = request["name"]
        self.test = bool(request["test"])
        self.salt = Path(f"/usr/lib/{self.name}/salt")
        self.etc = Path(f"/etc/{self.name}/salt")
        self.bundle = self.salt / request["bundle"]

    def hold_lock(self) -> None:
        """Let one highstate at a time work here, for as long as this process lives."""
        lock = os.open(f"/run/{self.name}-highstate.lock", os.O_RDWR | os.O_CREAT, 0o600)

        def free() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        who = os.pread(lock, 500, 0).decode(errors="replace") or "somebody else"
        await_(free, f"a highstate that {who} began")
        os.ftruncate(lock, 0)
        os.pwrite(lock, self.request["who"].encode(), 0)

    def installed(self) -> dict[str, str] | None:
        """Find a Salt that is installed here and recent enough: its program, its Python and its version."""
        for path in map(Path, SALT_CALLS):
            if not path.exists():
                continue
            with path.resolve().open("rb") as file:
                first = file.readline(200).decode(errors="replace")
            named = first[2:].split()[:1] if first.startswith("#!") else []
            for python in (str(path.resolve().parent / "bin" / "python3"), *named):
                version = salt_version(python)
                if version and int(version.split(".")[0]) >= self.request["salt_at_least"]:
                    return {"program": str(path), "python": python, "version": version}
        return None

    def unpack_bundle(self, data: bytes, scratch: Path) -> Path:
        """Unpack Salt aside, then put it in its place; a dry run leaves it aside."""
        aside = scratch / "salt" if self.test else self.salt / f".{self.bundle.name}"
        shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
        aside.mkdir(mode=0o755, parents=True)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as archive:
            archive.extractall(aside)  # noqa: S202  (the operator made it)
        if self.test:
            return aside
        os.sync()
        return aside.rename(self.bundle)

    def choose_bundle(self) -> None:
        """Let the programs of this bundle be those that people find here, and forget old ones."""
        link(self.salt / "current", self.bundle.name)
        others = [path for path in self.salt.iterdir() if not path.is_symlink() and path != self.bundle]
        for path in sorted(others, key=lambda each: each.stat().st_mtime)[:-1]:
            shutil.rmtree(path, ignore_errors=True)  # all but one: a minion may still run from that

    def has_parcel(self) -> bool:
        """Tell whether states and pillar are here already, and nobody has touched them."""
        return not self.test and digest(self.etc / "current") == self.request["parcel"]

    def keep_parcel(self, scratch: Path) -> Path:
        """Leave states and pillar as they are; the configuration comes with each request."""
        place = self.etc / "current"
        self.etc.chmod(0o700)
        put(place / "minion", self.configuration(place, scratch), 0o600)
        return place

    def unpack_parcel(self, data: bytes, scratch: Path) -> Path:
        """Put states, pillar and configuration in their place, all at once; a dry run leaves them aside."""
        trees = scratch if self.test else self.etc / "trees"
        trees.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.test:
            self.etc.chmod(0o700)  # pillars have secrets
        folder = Path(tempfile.mkdtemp(prefix=f"{time.time():.0f}-", dir=trees))  # mode 0700
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            archive.extractall(folder)  # noqa: S202  (the operator made it)
        place = folder if self.test else self.etc / "current"
        put(folder / "minion", self.configuration(place, scratch), 0o600)
        if not self.test:
            os.sync()
            link(place, f"trees/{folder.name}")
            for path in trees.iterdir():
                if path != folder:
                    shutil.rmtree(path, ignore_errors=True)
        return place

    def configuration(self, place: Path, scratch: Path) -> str:
        """Make the minion's configuration: the operator's part, and the places here."""
        state = scratch / "state" if self.test else Path(f"/var/cache/{self.name}-salt")
        state.mkdir(mode=0o700, exist_ok=True)
        settings = {
            **self.request["minion"],
            "file_roots": {"base": [str(place / "states")]},
            "pillar_roots": {"base": [str(place / "pillar")]},
            "cachedir": str(state / "cache"),
            "extension_modules": str(state / "extmods"),
            "sock_dir": str(state / "run"),
            "pki_dir": str(state / "pki" if self.test else self.etc / "pki"),
            "gpg_keydir": str(self.etc / "gpgkeys"),
            "log_file": os.devnull if self.test else f"/var/log/{self.name}-salt.log",
            "pidfile": str(state / "minion.pid"),
        }
        return json.dumps(settings, indent=1, sort_keys=True)

    def write_wrappers(self, program: str) -> None:
        """Let a person on this server type `salt-call`, and NAME-highstate for this project's states."""
        words = {"salt": program, "config": self.etc / "current"}
        own, general = Path(f"/usr/local/sbin/{self.name}-highstate"), Path("/usr/local/sbin/salt-call")
        what = "runs the states that were sent last; test=True only says what they would change."
        put(own, WRAPPER.format(what=what, words="--local state.highstate ", **words))
        if program.startswith(f"{self.salt}/") and (
            not general.exists() or "Written by Slipway" in general.read_text()
        ):
            put(general, WRAPPER.format(what=f"Salt with the configuration of {self.name}.", words="", **words))

    def run(self, python: str, lib: Path | None, config: Path, scratch: Path) -> None:
        """Run the states; tell each as it ends, then all that came of them."""
        out = scratch / "result.json"
        stop = str(scratch / "stop")
        options = {"lib": str(lib or ""), "config": str(config), "test": self.test, "out": str(out), "stop": stop}
        words = [python, *(["-I"] if lib else []), str(config / "run_states.py"), json.dumps(options)]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            assert process.stdout is not None
            for line in process.stdout:
                tell(**json.loads(line))
            code = process.wait()
            said.seek(0)
            stderr = said.read().decode(errors="replace").strip().splitlines()
        try:
            answer = json.loads(out.read_text(encoding="utf-8"))["local"]
        except (OSError, ValueError, KeyError):
            lines = [f"Salt ended with {code} and gave no result", *stderr[-8:]]
            raise Problem("\n".join(lines)) from None
        if isinstance(answer, dict):
            ran = {key: value for key, value in answer.items() if value.get("comment") != STOPPED}
            states = [described(key, value) for key, value in ran.items()]
            tell(event="result", states=states, left=len(answer) - len(ran))
        else:
            tell(event="refused", errors=[str(error) for error in (answer if isinstance(answer, list) else [answer])])


def described(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """Give what matters of a state's result."""
    parts = key.split("_|-")
    return {
        "id": value.get("__id__") or key,
        "sls": value.get("__sls__", ""),
        "function": f"{parts[0]}.{parts[-1]}",
        "name": str(value.get("name", "")),
        "result": value.get("result"),
        "changes": value.get("changes") or {},
        "comment": value.get("comment") or "",
        "ms": value.get("duration") or 0,
        "order": value.get("__run_num__", 0),
    }


def heed_stop(stream: BinaryIO, scratch: Path) -> None:
    """Note it when the operator says stop. That the connection ends says nothing: states run to their end then."""
    if stream.readline().strip() == STOP:
        with suppress(FileNotFoundError):  # all is done, and the folder is gone
            (scratch / "stop").touch()


def wait_for_packages(scratch: Path) -> None:
    """Wait until nobody else installs packages, and finish what was interrupted."""
    lock = Path("/var/lib/dpkg/lock-frontend")
    if not lock.exists():
        return
    with lock.open("w") as file:

        def free() -> bool:
            if (scratch / "stop").exists():
                raise Problem("stopped while it waited for somebody else's installation of packages")
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        await_(free, "somebody else's installation of packages", every=0.5)
    if any(path.name.isdigit() for path in Path("/var/lib/dpkg/updates").iterdir()):
        tell(event="note", text="an installation of packages was interrupted: dpkg --configure -a")
        environment = {**ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["dpkg", "--configure", "-a"], env=environment, stdout=subprocess.DEVNULL, check=False)


def await_(free: Any, what: str, every: float = 0.2) -> None:
    """Wait for something that ends by itself, and say so once."""
    end, told = time.monotonic() + BUSY_WAIT, False
    while not free():
        if time.monotonic() > end:
            raise Problem(f"waited {BUSY_WAIT / 60:.0f} min for {what}; it is still at work here")
        if not told:
            tell(event="note", text=f"waiting for {what}")
        told = True
        time.sleep(every)


def salt_version(python: str) -> str | None:
    """Ask a Python which Salt it has; None when it has none."""
    if not os.access(python, os.X_OK):
        return None
    words = [python, "-I", "-c", "import salt.version; print(salt.version.__version__)"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.decode().strip()
    return version if done.returncode == 0 and version[:1].isdigit() else None


def digest(folder: Path) -> str:
    """Name what is in a folder, but for what was made here: as the operator's side names it (parcel.py)."""
    own = ("minion", "compiled")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    chosen = sorted(path for path in files if path.partition("/")[0] not in own)
    lines = [f"{hashlib.sha256(files[path].read_bytes()).hexdigest()}  {path}\n" for path in chosen]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def put(path: Path, text: str, mode: int = 0o755) -> None:
    """Write a file, whole, unless it is there."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.touch(mode=0o600)
    aside.write_text(text, encoding="utf-8")
    aside.chmod(mode)
    aside.rename(path)


def link(path: Path, target: str) -> None:
    """Point a symbolic link at another target, in one step."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.rename(path)


def take(stream: BinaryIO, length: int) -> bytes:
    """Read exactly so many bytes."""
    data = stream.read(length)
    if len(data) != length:
        raise Problem("the connection broke while Salt and its states were being sent; nothing was changed")
    return data


def work(stream: BinaryIO) -> None:
    """Answer one request."""
    request = json.loads(stream.readline())
    if os.geteuid() != 0:
        raise Problem(f"expected root, got user {os.geteuid()}: ssh.admin has to be root, or a user with sudo")
    server = Server(request)
    server.hold_lock()
    salt = server.installed()
    tell(event="hello", salt=salt and salt["version"], bundle=server.bundle.is_dir(), parcel=server.has_parcel())
    lengths = json.loads(stream.readline() or b"null")
    if lengths is None:
        return  # the operator went away
    bundle, parcel = take(stream, lengths["bundle"]), take(stream, lengths["parcel"])
    with tempfile.TemporaryDirectory(prefix=f"{server.name}-highstate-", dir="/var/tmp") as folder:
        scratch, lib, program = Path(folder), None, str(server.salt / "current" / "bin" / "salt-call")
        if salt is None:
            lib = (server.unpack_bundle(bundle, scratch) if bundle else server.bundle) / "lib"
        else:
            program = salt["program"]
        threading.Thread(target=heed_stop, args=(stream, scratch), daemon=True).start()
        config = server.unpack_parcel(parcel, scratch) if parcel else server.keep_parcel(scratch)
        if not server.test:
            if lib:
                server.choose_bundle()
            server.write_wrappers(program)
            wait_for_packages(scratch)
        server.run(salt["python"] if salt else sys.executable, lib, config, scratch)


def main() -> None:
    """Answer one request; what a person has to mend is an event of its own."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o022)
    try:
        work(sys.stdin.buffer)
    except Problem as problem:
        tell(event="error", text=str(problem))
    except OSError as error:
        tell(event="error", text=f"{error.filename or 'system'}: {error.strerror or error}")


main()
sys.stdout.flush()
os._exit(0)  # a thread still listens to the operator: Python would wait for what it holds
