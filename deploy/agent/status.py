"""The facts about this server that a plan is made from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from deploy.agent import BUILD, VERSION, forms, generations, host, lease, releases, signature
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import supervisor_of


def status(layout: Layout, with_releases: bool, looked_at: Collection[str] | None = None) -> dict[str, Any]:
    """Observe; nothing is locked or changed.

    The files of `looked_at` releases are looked at, by default of all; of the current one in any case.
    """
    known = generations.load_all(layout)
    manifests: dict[str, Manifest | None] = {}

    def manifest_of(version: str) -> Manifest | None:
        if version not in manifests:
            try:
                manifests[version] = releases.load(layout, version)
            except AgentError:
                manifests[version] = None
        return manifests[version]

    by_number = {str(generation.number): generation.version for generation in known}
    supervisor = supervisor_of(layout)
    current = generations.current(layout)
    runs = supervisor.facts(lambda key: manifest_of(by_number[key]) if key in by_number else None)
    running = manifest_of(by_number[str(current)]) if str(current) in by_number else None

    def release(version: str) -> dict[str, Any]:
        wanted = manifest_of(version)
        look = looked_at is None or version in looked_at or wanted is running
        return _release(layout, version, wanted, look=look)

    return {
        "agent": f"{VERSION}+{BUILD}",
        "name": layout.name or (running.raw.get("name") if running else None),
        "host": host.facts(layout),
        "releases": [*map(release, releases.versions(layout))] if with_releases else [],
        "generations": [generation.facts() for generation in known],
        "unreadable": generations.unreadable(layout),
        "current": current,
        "processes": runs["processes"],
        "listening": runs["listening"],
        "lacking": supervisor.lacking(),
        "forms": forms.missing() if layout.systemd else {},
        "lease": lease.show(layout),
        "lease_number": lease.read(layout).token,
        "signers": signature.digest(signature.signers(layout)),
    }


def _release(layout: Layout, version: str, wanted: Manifest | None, *, look: bool) -> dict[str, Any]:
    if wanted is None:
        unreadable: dict[str, Any] = {"digest": "", "commit": None, "complete": False, "problems": 1}
        nothing: dict[str, Any] = {"signature": None, "migrations": [], "contracts": []}
        return {"version": version, "form": _form(layout, version), **unreadable, **nothing}
    problems = len(releases.look(layout, wanted)) if look else None
    return {
        "version": version,
        "form": _form(layout, version),
        "digest": wanted.digest,
        "commit": wanted.raw.get("commit"),
        "complete": None if problems is None else problems == 0,
        "problems": problems,
        "signature": signature.digest(signature.read(layout, version)),
        "migrations": [migration.get("revision") for migration in wanted.raw.get("migrations", [])],
        "contracts": [m.get("revision") for m in wanted.raw.get("migrations", []) if m.get("kind") == "contract"],
    }


def _form(layout: Layout, version: str) -> str:
    return "tree" if releases.image_of(layout, version) is None else "image"
