"""What an image says of itself: labels, user, variables, health check. `[project]` and the contract say it all."""

import time
from collections.abc import Mapping
from typing import Any

from deploy.artifacts.image.base import Base
from deploy.artifacts.image.layers import ENTRYPOINT, PORT, USER, state_of
from deploy.artifacts.manifest import NO_COMMIT, Manifest
from deploy.contract import Contract
from deploy.contract_model import Project
from deploy.variables import PLACEHOLDER

_OCI = "org.opencontainers.image"
DIRTY = "slipway.dirty"  # the state of entrypoint and health check, where it is no commit's
_NANO = 10**9  # Docker counts in nanoseconds
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SOURCE = ("source", "source code", "repository", "homepage")  # well-known labels of [project.urls], the best first


def reference(manifest: Mapping[str, Any], mark: str = "") -> str:
    """Name the image and its tag; a tag can't have the `+` of a version."""
    return f"{manifest['name']}:{manifest['version'].replace('+', '-')}{f'-{mark}' if mark else ''}"


def created(manifest: Mapping[str, Any]) -> str:
    """Answer the time of the commit: the time of the build would make each build another image."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(manifest["source_date_epoch"]))


def labels(project: Project, manifest: Manifest, base: Base, mark: str = "") -> dict[str, str]:
    """Answer the OCI's labels; those that `[project]` says nothing about are left out."""
    data = manifest.data
    urls = {name.lower(): url for name, url in project.urls.items()}
    said = {
        f"{_OCI}.title": project.name,
        f"{_OCI}.description": project.description,
        f"{_OCI}.version": data["version"],
        f"{_OCI}.revision": "" if data["commit"] == NO_COMMIT else data["commit"],
        f"{_OCI}.created": created(data),
        f"{_OCI}.licenses": project.license if isinstance(project.license, str) else "",
        f"{_OCI}.source": next((urls[name] for name in _SOURCE if name in urls), ""),
        f"{_OCI}.base.name": base.name,
        f"{_OCI}.base.digest": base.digest,
        "slipway.release.digest": manifest.digest,
        DIRTY: mark,
    }
    return {name: value for name, value in said.items() if value}


def _of_contract(contract: Contract, data: Mapping[str, Any]) -> dict[str, str]:
    """Answer the variables that the contract has for every environment; what names an environment's own is not one."""
    here = {"{state}": state_of(data["name"]), "{release}": f"/opt/{data['name']}/releases/{data['version']}"}
    found = {}
    for name, value in contract.slipway.env.items():
        for word, place in here.items():
            value = value.replace(word, place)
        if not PLACEHOLDER.search(value):
            found[name] = value
    return found


def settings(contract: Contract, manifest: Manifest, base: Base, mark: str = "") -> dict[str, Any]:
    """Answer how a container of the image runs, as the engine's configuration has it."""
    data, health = manifest.data, contract.health
    state = f"/var/lib/{data['name']}"
    inherited = dict(line.split("=", 1) for line in base.config.get("Env") or [])
    environ = inherited | {
        "PATH": f"/opt/{data['name']}/releases/{data['version']}/bin:{inherited.get('PATH', _PATH)}",
        "HOME": state,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "RELEASE_VERSION": data["version"],
        **_of_contract(contract, data),
    }
    return {
        "User": f"{USER}:{USER}",
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Env": [f"{name}={value}" for name, value in sorted(environ.items())],
        "Entrypoint": [f"/{ENTRYPOINT}"],
        "Cmd": ["serve"],
        "WorkingDir": state,
        "StopSignal": "SIGTERM",
        "Healthcheck": {
            "Test": ["CMD", f"/{ENTRYPOINT}", "health"],
            "Interval": 10 * _NANO,
            "Timeout": 5 * _NANO,
            "StartPeriod": health.deadline * _NANO,
            "Retries": 3,
        },
        "Labels": {**(base.config.get("Labels") or {}), **labels(contract.project, manifest, base, mark)},
    }


def config(
    contract: Contract, manifest: Manifest, base: Base, diff_ids: tuple[str, str], mark: str = ""
) -> dict[str, Any]:
    """Answer the whole configuration of the image: its sha256 is the image's id."""
    when = created(manifest.data)
    release = f"release {manifest.data['version']} of {contract.name}"
    history = [
        *(base.history or [{"created_by": base.name} for _ in base.layers]),
        {"created": when, "created_by": f"dependencies of {release}"},
        {"created": when, "created_by": release},
        {"created": when, "created_by": "make image: user, variables, health check, labels", "empty_layer": True},
    ]
    operating_system, _, machine = manifest.data["platform"].partition("-")
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": operating_system,
        "created": when,
        "config": settings(contract, manifest, base, mark),
        "rootfs": {"type": "layers", "diff_ids": [*(f"sha256:{layer.sha256}" for layer in base.layers), *diff_ids]},
        "history": history,
    }


def arguments(contract: Contract, manifest: Manifest, base: Base) -> dict[str, str]:
    """Answer the build arguments of the Dockerfile."""
    project, data = contract.project, manifest.data
    given = labels(project, manifest, base)
    named = {name: given.get(f"{_OCI}.{name.lower()}", "") for name in ("DESCRIPTION", "REVISION", "CREATED")}
    return {
        "NAME": data["name"],
        "VERSION": data["version"],
        "RELEASE": f"dist/{data['name']}-{data['version']}",
        **named,
        "LICENSES": given.get(f"{_OCI}.licenses", ""),
        "SOURCE": given.get(f"{_OCI}.source", ""),
        "DIGEST": manifest.digest,
    }
