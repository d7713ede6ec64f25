"""Where everything lies on a server."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Layout(NamedTuple):
    """The agent's directories; store, releases, generations and tmp share one file system."""

    name: str | None
    base: Path
    state: Path
    run: Path
    log: Path
    var: Path
    systemd: bool = False  # it keeps the processes; their directories and logs are then its own

    @classmethod
    def under(cls, root: Path, name: str | None = None) -> Layout:
        """Put everything under one directory."""
        root = root.absolute()
        return cls(name=name, base=root, state=root / "state", run=root / "run", log=root / "log", var=root)

    @classmethod
    def system(cls, name: str) -> Layout:
        """Use the directories of a server, where systemd keeps the processes: /opt, /var/lib, /run."""
        var = Path("/var/lib") / name
        return cls(name, Path("/opt") / name, var / "state", Path("/run") / name, Path("/var/log") / name, var, True)

    @property
    def store(self) -> Path:
        return self.base / "store"

    @property
    def releases(self) -> Path:
        return self.base / "releases"

    @property
    def generations(self) -> Path:
        return self.base / "generations"

    @property
    def current(self) -> Path:
        return self.base / "current"

    @property
    def tmp(self) -> Path:
        return self.base / "tmp"

    @property
    def private(self) -> Path:
        """Locate what must not outlive a verb and nobody else may read; on a server it never touches a disk."""
        return Path("/run") / f"{self.name}-agent" if self.systemd else self.tmp

    @property
    def lock(self) -> Path:
        return self.var / "lock"

    @property
    def backups(self) -> Path:
        """Locate backups of the database; on a server where others' lie, so that its own backup takes them along."""
        return Path("/var/backups") / str(self.name) if self.systemd else self.base / "backups"

    @property
    def rpm_lock(self) -> Path:
        return self.var / "rpm.lock"

    @property
    def lease(self) -> Path:
        return self.var / "lease.json"

    @property
    def lease_lock(self) -> Path:
        return self.var / "lease.lock"

    @property
    def holds(self) -> Path:
        """Locate what is kept of servers that the load balancer of this host holds out of service."""
        return self.var / "holds.json"

    @property
    def watch_lock(self) -> Path:
        """Locate the file that the process holds locked which puts servers back into service."""
        return self.var / "watch.lock"

    @property
    def ledger(self) -> Path:
        return self.var / "ledger.jsonl"

    @property
    def etc(self) -> Path:
        return self.base if self.name is None or self.var == self.base else Path("/etc") / self.name

    @property
    def balancer(self) -> Path:
        """Locate HAProxy's runtime socket."""
        return Path("/run/haproxy/admin.sock") if self.systemd else self.run / "admin.sock"

    @property
    def balancer_config(self) -> Path:
        """Locate HAProxy's configuration."""
        return Path("/etc/haproxy/haproxy.cfg") if self.systemd else self.base / "haproxy.cfg"

    @property
    def allowed_signers(self) -> Path:
        return self.etc / "allowed_signers"

    @property
    def verified(self) -> Path:
        # Not under `var`: there the processes of the app may have a folder of their own.
        return self.base / "verified.json"

    def release(self, version: str) -> Path:
        """Locate a release."""
        return self.releases / version

    def generation(self, number: int) -> Path:
        """Locate a generation."""
        return self.generations / str(number)

    def log_file(self, key: str) -> Path:
        """Locate the log of a generation, or of all trials."""
        return self.log / ("trial.log" if key.startswith("trial-") else f"{key}.log")

    def run_file(self, key: str, suffix: str) -> Path:
        """Locate `run/<key>.<suffix>`: sock, pid or alive."""
        return self.run / f"{key}.{suffix}"

    def make(self) -> None:
        """Create what is absent. `state` and `run` are for the processes' own user only: systemd makes its own."""
        for path in (self.base, self.var, self.store, self.releases, self.generations, self.tmp):
            path.mkdir(parents=True, exist_ok=True)
        if self.systemd:
            return
        self.log.mkdir(parents=True, exist_ok=True)
        for path in (self.state, self.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def point_to_state(self) -> None:
        """Let a release's links into the state directory find it at the place that it has without systemd."""
        link = self.base / "state"
        if self.systemd and not link.is_symlink():
            link.symlink_to(self.state)
