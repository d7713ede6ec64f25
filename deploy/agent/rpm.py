"""Ask rpm and dnf: what a package has, whether it is installed; install and erase it.

rpm goes on when its agent is killed, and then holds `rpm.lock` until it is done: the next agent waits for it.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.agent import files, guard, manifest, store
from deploy.agent.errors import AgentError, Stopped
from deploy.agent.generations import PATH
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest

Say = Callable[[str], None]

PATIENCE = 600.0  # seconds that rpm may take, and that another rpm is waited for
TELL = 5.0  # seconds between two words while it takes its time
SHOWN = 5  # problems of a package that are told
OWNER = "root:root"
FIELDS = ("FILENAMES", "FILEMODES", "FILEDIGESTS", "FILELINKTOS", "FILEUSERNAME", "FILEGROUPNAME", "FILECAPS")
LIST = "[" + "\\t".join(f"%{{{field}}}" for field in FIELDS) + "\\n]"
SCRIPTLET = "preuninstall scriptlet (using <lua>):\n"
NOISE = "rpm: "  # Debian's rpm advises against itself on standard error


@dataclass(frozen=True)
class Entry:
    """What a package's header says of one file."""

    path: str
    mode: int
    sha256: str
    link: str
    owner: str


def name_of(layout: Layout, version: str) -> str:
    """Name the package of a release."""
    return f"{layout.name}-release-{version}"


def owns(layout: Layout, version: str) -> bool:
    """Tell whether a release came as a package, which is then rpm's to change and to remove."""
    return layout.systemd and _run(["rpm", "--query", "--quiet", name_of(layout, version)]).code == 0


def problems(package: Path, layout: Layout, wanted: Manifest) -> list[str]:
    """Say in what a package differs from a release's manifest: it may bring those files, and do nothing else.

    Its header has the hash of every file, and rpm compares them while it unpacks.

    Raises: AgentError bad-package when it is none.
    """
    asked = ["--query", "--package", str(package)]
    name = _ask([*asked, "--qf", "%{NAME}\n[obsoletes %{OBSOLETENAME}\n]"]).strip()
    found = [] if name == name_of(layout, wanted.version) else [f"expected {name_of(layout, wanted.version)}: {name}"]
    said = _ask([*asked, "--scripts", "--triggers", "--filetriggers"])
    if said.strip() != (SCRIPTLET + guard.text(str(layout.name), wanted.version)).strip():
        found.append("it has scriptlets that this agent does not know")
    return found + differences(_entries(_ask([*asked, "--qf", LIST])), str(layout.release(wanted.version)), wanted)


def _entries(text: str) -> Iterable[Entry]:
    for line in text.splitlines():
        path, mode, sha256, link, user, group, caps = line.split("\t")
        owner = f"{user}:{group}" + ("" if caps in ("", "(none)") else f" with {caps}")
        yield Entry(path, int(mode) & 0xFFFF, sha256, link, owner)


def differences(entries: Iterable[Entry], root: str, wanted: Manifest) -> list[str]:
    """Compare a package's files with a manifest. The signature may be there: `assemble` is what looks at it."""
    lacking = {**wanted.files, **wanted.links, manifest.NAME: None}
    found = []
    for entry in entries:
        path = entry.path[len(root) + 1 :]
        if entry.owner != OWNER:
            found.append(f"{entry.path} belongs to {entry.owner}")
        if entry.path != root and not entry.path.startswith(f"{root}/"):
            found.append(f"{entry.path} lies outside of the release")
        elif stat.S_ISDIR(entry.mode):
            if stat.S_IMODE(entry.mode) != 0o755:
                found.append(f"{entry.path} has mode {stat.S_IMODE(entry.mode):04o}")
        elif not _right(path, entry, wanted):
            found.append(f"{path} is not as in the manifest")
        lacking.pop(path, None)
    return [*found, *(f"{path} is missing" for path in sorted(lacking))]


def _right(path: str, entry: Entry, wanted: Manifest) -> bool:
    if path in wanted.links:
        return stat.S_ISLNK(entry.mode) and entry.link == wanted.links[path]
    plain = stat.S_IFREG | store.PLAIN
    if path == manifest.NAME:
        return (entry.mode, entry.sha256) == (plain, wanted.digest)
    if path in wanted.files:
        file = wanted.files[path]
        return (entry.mode, entry.sha256) == (stat.S_IFREG | store.mode_of(file.executable), file.sha256)
    return path == manifest.SIGNATURE and entry.mode == plain


def install(layout: Layout, package: Path, version: str, say: Say) -> None:
    """Install a package beside all others, or once more over what was damaged.

    Raises: AgentError rpm-refused, busy.
    """
    way = "--reinstall" if owns(layout, version) else "--install"
    _change(layout, ["rpm", way, *_dependencies(), str(package)], say)


def _dependencies() -> list[str]:
    """Have rpm ask for dependencies where it knows the system: as a guest beside dpkg it knows of no Python."""
    native = _run(["rpm", "--query", "--whatprovides", "/bin/sh"]).code == 0
    return [] if native else ["--nodeps"]


def erase(layout: Layout, version: str, say: Say) -> None:
    """Erase the package of a release.

    Raises: AgentError rpm-refused: the package's guard, or another package, needs it; busy.
    """
    _change(layout, ["rpm", "--erase", name_of(layout, version)], say)


def download(layout: Layout, version: str, folder: Path, say: Say) -> Path:
    """Fetch the package of a release from the repositories that this server's dnf knows.

    Raises: AgentError rpm-refused.
    """
    folder.mkdir()
    quiet = ["dnf", "--quiet", "--assumeyes", "--setopt=install_weak_deps=False"]
    name = name_of(layout, version)
    verb = "reinstall" if owns(layout, version) else "install"
    _change(layout, [*quiet, verb, "--downloadonly", f"--destdir={folder}", name], say)
    found = sorted(folder.glob(f"{name}-*.rpm"))
    if not found:
        raise AgentError(
            "rpm-refused", f"dnf brought no {name}", hint="is the repository there? dnf repolist; dnf clean metadata"
        )
    return found[0]


def wait(layout: Layout, say: Say) -> None:
    """Wait for an rpm that was started here by an agent that is gone.

    Raises: AgentError busy.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with files.locked(layout.rpm_lock, timeout=TELL, what="wait"):
                return
        except AgentError:
            if time.monotonic() > end:
                raise
            say("an rpm that was started earlier is still at work")


def _change(layout: Layout, command: Sequence[str], say: Say) -> None:
    """Carry out what must not be stopped half-way: in a session of its own, and under a lock that outlives us."""
    with files.locked(layout.rpm_lock, timeout=PATIENCE, what=f"{command[0]} {command[1]}") as held:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=_environment(), start_new_session=True, pass_fds=[held],
            )  # fmt: skip
        except FileNotFoundError:
            raise _absent(command[0]) from None
        said = _await(process, say, command)
    if process.returncode != 0:
        raise AgentError(
            "rpm-refused", f"`{' '.join(command[:2])}` failed: {_reason(said)}", expected="exit status 0",
            got=f"exit status {process.returncode}", detail=said, hint="its words say what it lacks or who forbids it",
        )  # fmt: skip


def _await(process: subprocess.Popen[bytes], say: Say, command: Sequence[str]) -> str:
    began, stopped = time.monotonic(), None
    while True:
        try:
            said, _ = process.communicate(timeout=TELL)
            break
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - began
            say(f"{command[0]} is at work since {seconds:.0f} s")
            if seconds > PATIENCE:
                raise AgentError(
                    "timeout", f"{command[0]} did not end within {PATIENCE:g} s; it goes on", hint="look at it: ps"
                ) from None
        except Stopped as error:
            stopped = error  # a transaction that is broken off leaves files of no package
    if stopped:
        raise stopped
    return said.decode("utf-8", "replace")


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(NOISE)]
    return "; ".join(lines[:SHOWN]) or "it did not say why"


@dataclass(frozen=True)
class _Done:
    code: int
    out: str
    said: str


def _environment() -> dict[str, str]:
    # rpm finds its database and macros in root's home on some systems, and nothing else of the caller's counts.
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": pwd.getpwuid(os.geteuid()).pw_dir}


def _run(command: Sequence[str]) -> _Done:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), timeout=60, check=False
        )
    except FileNotFoundError:
        return _Done(127, "", "")
    return _Done(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()
    )


def _ask(words: Sequence[str]) -> str:
    done = _run(["rpm", *words])
    if done.code == 127:
        raise _absent("rpm")
    if done.code != 0:
        raise AgentError(
            "bad-package", f"rpm can't read the package: {_reason(done.said)}", hint="make rpm, then deploy it again"
        )
    return done.out


def _absent(program: str) -> AgentError:
    return AgentError(
        "no-rpm", f"{program} is not on this host, and the environment's artifact is rpm",
        hint=f"install it (Debian: apt install {program}), or set artifact = \"tree\"",
    )  # fmt: skip
