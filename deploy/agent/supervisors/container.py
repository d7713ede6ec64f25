"""What a container of a generation is: its name, what it is described by, and what is handed over to it."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy.agent import files, generations, overlay, releases
from deploy.agent.docker import VARIABLE, Engine
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import PROCESSES, become, beside, inside, serving
from deploy.agent.supervisors.spawn import FIRST

BOX = "/run/slipway"  # in the container: what it starts with
PROGRAM, DOOR, MASTER, HOME = "inside.py", "door", "pid", "home"
NAMED, OVERLAY = "SLIPWAY_CONTAINER", "SLIPWAY_OVERLAY"  # variables for `releasectl exec N run`: see `of_command`


class Job(NamedTuple):
    """A container, and what it is to be."""

    name: str
    key: str
    image: str
    user: tuple[int, int]
    state: str  # the directory here that is its `directory`
    message: dict[str, Any]  # what `inside` fetches
    descriptors: Sequence[int]  # to listen on, and what must live as long as it does
    grace: int  # seconds

    @property
    def directory(self) -> str:
        """Where the program works, in the container."""
        return str(self.message["directory"])


def name_of(layout: Layout, key: str) -> str:
    """Name the container of a generation or trial: one engine may serve several directories."""
    if layout.systemd:
        return f"{layout.name}-{key}"
    return f"slipway-{key}-{hashlib.sha256(os.fsencode(layout.base)).hexdigest()[:12]}"


def box(layout: Layout, name: str) -> Path:
    """Locate the folder that a container starts with."""
    return layout.run_file(name, "box")


def master(layout: Layout, key: str) -> int | None:
    """Give the process id of gunicorn in the container of a key, as seen from here."""
    try:
        return int((box(layout, name_of(layout, key)) / MASTER).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def is_one(layout: Layout, number: int) -> bool:
    """Tell whether a generation runs in containers."""
    try:
        version = os.path.basename(os.readlink(layout.generation(number) / "release"))
    except OSError:
        return False
    return releases.image_of(layout, version) is not None


def clear(layout: Layout, name: str) -> None:
    """Remove a container, whatever it does, and what it started with."""
    Engine().remove(name)
    files.clear(box(layout, name))


def passed_on() -> dict[str, str]:
    """Give the variables by which `releasectl exec` finds the engine that we find."""
    return {name: os.environ[name] for name in (VARIABLE,) if name in os.environ}


def of_command(name: str, overlay: Path | None) -> dict[str, str]:
    """Give the variables that name the container of a command, and the folder of what is replaced for it."""
    return {NAMED: name, **({OVERLAY: str(overlay)} if overlay else {})}


def job(layout: Layout, number: int, mode: str, argv: Sequence[str], given: Mapping[str, str]) -> Job:
    """Say what is run for `N`, `N trial`, `N worker|scheduler` or `N run ARGV...`.

    Raises: AgentError no-generation, bad-generation, no-release, tampered, release-incomplete, bad-unit.
    """
    generation = generations.load(layout, number)
    wanted, image = releases.load(layout, generation.version), releases.image_of(layout, generation.version)
    if wanted.digest != generation.digest:
        raise AgentError("tampered", f"the manifest of release {generation.version} is not the one meant")
    if image is None:
        raise AgentError("release-incomplete", f"release {generation.version} is no image", hint="deploy it again")
    key = str(number) if mode == "serve" else f"{mode}-{number}"
    sockets = [] if mode in ("run", *PROCESSES) else _sockets(layout, key, given)
    held = [] if layout.systemd or mode == "run" else [FIRST + len(sockets)]  # `spawn`: whoever has it, lives
    there = Layout.system(str(wanted.raw["name"]))
    python = f"{there.release(generation.version)}/bin/python"
    program = _program(wanted, python, key, mode, argv)
    environment = generations.environment(there, generation, f"{inside.CREDENTIALS}/")
    secrets = _secrets(layout.generation(number) / "credentials")
    if given.get(OVERLAY):
        folder = Path(given[OVERLAY])
        environment = overlay.laid_over(environment, f"{folder}/{overlay.FILE}", f"{inside.CREDENTIALS}/")
        secrets |= _secrets(folder / overlay.SECRETS)
    message = {
        "argv": program,
        "environment": environment,
        "secrets": secrets,
        "directory": str(there.state),
        "sockets": len(sockets),
    }
    if mode in PROCESSES and not layout.systemd and "NOTIFY_SOCKET" in given:
        environment["NOTIFY_SOCKET"] = given["NOTIFY_SOCKET"]
    return Job(
        given.get(NAMED) or name_of(layout, key), key, image, user_of(layout), str(layout.state), message,
        [*sockets, *held], int(serving.grace(layout, key)),
    )  # fmt: skip


def _program(wanted: Manifest, python: str, key: str, mode: str, argv: Sequence[str]) -> list[str]:
    if mode == "run":
        return [python, *argv]
    if mode in PROCESSES:
        return beside.command(wanted, mode, python)
    return serving.gunicorn(wanted, python, f"{wanted.raw['name']}@{key}", workers=1 if mode == "trial" else None)


def user_of(layout: Layout) -> tuple[int, int]:
    """Give the user and group that the app has without a container as well."""
    if not layout.systemd:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(str(layout.name))
    return entry.pw_uid, entry.pw_gid


def _secrets(folder: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in sorted(folder.iterdir())}


def _sockets(layout: Layout, key: str, given: Mapping[str, str]) -> list[int]:
    """Give the descriptors to listen on: those that came with us and, under systemd, the private one, bound here."""
    count = 0 if layout.systemd and key.startswith("trial-") else become.inherited(given)
    if layout.systemd:
        become.bind(layout, key, FIRST + count)
        count += 1
    return list(range(FIRST, FIRST + count))


def description(layout: Layout, job: Job) -> dict[str, Any]:
    """Describe a container for the engine; whoever may ask the engine can read it, so nothing in it is a secret."""
    uid, gid = job.user
    bind = {"Type": "bind", "ReadOnly": True}
    return {
        "Image": job.image,
        "User": f"{uid}:{gid}",
        "Entrypoint": [job.message["argv"][0], "-ISB", f"{BOX}/{PROGRAM}", f"{BOX}/{DOOR}"],
        "Cmd": [],
        "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"]},  # the agent asks, and the load balancer
        "StopTimeout": job.grace,
        "Labels": {"slipway.name": job.message["argv"][0].split("/")[2], "slipway.key": job.key},
        "HostConfig": {
            # What serves may outlive its engine, which at its start removes all that it is to remove by itself.
            "AutoRemove": job.key.startswith(("trial-", "run-")),
            "NetworkMode": "host",  # the listening socket is the host's; so is the way to the database
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "LogConfig": {"Type": "none"},  # its output is ours
            "Tmpfs": {
                "/tmp": "rw,noexec,nosuid,nodev",  # noqa: S108 - in the container
                inside.CREDENTIALS: f"rw,noexec,nosuid,nodev,size=1m,mode=0700,uid={uid},gid={gid}",
            },
            "Mounts": [
                {**bind, "Source": str(box(layout, job.name)), "Target": BOX},
                # The image's own folder there is closed to all but the image's own user.
                {**bind, "Source": str(box(layout, job.name) / HOME), "Target": os.path.dirname(job.directory)},
                {**bind, "Source": job.state, "Target": job.directory, "ReadOnly": False},
            ],
        },
    }
