"""What was observed of an environment: plain data from the agents and the load balancer, for `deploy.plan`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

WEB = "web"  # what serves requests, and the role of hosts that do; other processes have their roles' names too


@dataclass(frozen=True)
class Release:
    """A release on a host. `complete` is the agent's cheap look; only `fab verify` reads every byte.

    One that was not looked at counts as not complete: to stage it again costs a look, and nothing is sent.
    """

    version: str
    digest: str
    complete: bool
    migrations: tuple[str, ...] = ()
    contracts: frozenset[str] = frozenset()  # those of them that the release before does not survive
    form: str = "tree"  # or "image"; an rpm's files are files
    signature: str | None = None  # its sha256; whose it is, and whether it is good, the agent checks when it matters


@dataclass(frozen=True)
class Generation:
    """A numbered pair of release and environment variables on a host."""

    number: int
    version: str
    digest: str
    env_digest: str
    activated: float | None = None
    migrated: bool = False
    migrated_to: str = ""  # the revision; empty: all that its release knows
    created: float = 0.0

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two generations the same: the bytes of the release and the variables."""
        return (self.digest, self.env_digest)


@dataclass(frozen=True)
class Process:
    """Processes of one generation on a host.

    `ready` is the answer of their private socket, None when not asked; of a worker, whether it said so.
    """

    generation: int
    pid: int
    ready: bool | None = None
    since: float | None = None
    workers: int = 0
    name: str = WEB  # or that of a process of the contract


@dataclass(frozen=True)
class Hold:
    """Why the load balancer keeps a server out of service, as its agent wrote it down (deploy/agent/holds.py)."""

    why: str  # rollout, person, fenced, left
    by: str = ""
    rollout: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Server:
    """A host as the load balancer sees it."""

    name: str
    admin: str  # ready, drain or maint: what the operator asked for
    up: bool  # what the balancer's own health check found
    proven: bool = False  # and its latest check passed; after maint a server counts as up until one fails
    sessions: int = 0
    check: str = ""  # the last check's outcome: L7OK, L4CON, ...
    address: str = ""  # where the balancer sends requests
    hold: Hold | None = None
    views: tuple[tuple[str, Server], ...] = ()  # of several load balancers: what each sees, by its name

    @property
    def each(self) -> tuple[Server, ...]:
        """What each load balancer sees."""
        return tuple(server for _, server in self.views) or (self,)

    @property
    def fenced(self) -> bool:
        """Whether a load balancer keeps it from users until it runs what all run."""
        return self.hold is not None and self.hold.why == "fenced"

    @property
    def place(self) -> str:
        """Say how it stands at the load balancer; of several, at each."""
        stands = [(name, server.place) for name, server in self.views]
        if len({place for _, place in stands}) > 1:
            return "; ".join(f"{name}: {place}" for name, place in stands)
        names = f" at {', '.join(name for name, _ in stands)}" if stands else ""
        return f"{'fenced' if self.fenced else self.admin}, {'up' if self.up else 'down'}{names}"


@dataclass(frozen=True)
class Lack:
    """What a host lacks of a release: how many files, rpms or layers, bytes to send, and room on its disk."""

    form: str = "tree"  # in which it comes: tree, rpm or image
    files: int = 0
    bytes: int = 0
    room: int = 0


@dataclass(frozen=True)
class Host:
    """One host of the app: what its agent answered, and what the load balancer says of it."""

    name: str
    listen: str  # the address it shall have; none without a web server
    runs: tuple[str, ...] = (WEB,)  # what of a generation it is there for: its roles
    releases: tuple[Release, ...] = ()
    generations: tuple[Generation, ...] = ()
    current: int | None = None
    processes: tuple[Process, ...] = ()
    server: Server | None = None
    listening: str | None = None  # the address it has
    unreadable: tuple[int, ...] = ()  # numbers of generations whose description is damaged
    platform: str = ""
    pythons: tuple[str, ...] = ()  # minor versions that are installed
    disk_free: int | None = None  # bytes where releases go
    agent: str = ""  # its version
    skew: float = 0.0  # seconds its clock is ahead of ours, or behind
    lacking: tuple[str, ...] = ()  # what has to be installed before anything can serve
    forms: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what each form of a release needs and lacks here
    deployer: str = ""  # who holds the lease
    lease_number: int = -1  # of the last lease that anybody held; -1: not known
    signers: str | None = None  # sha256 of the list of those whose signature counts; None: no signature is required
    problem: str = ""  # why nothing could be observed
    lack: Lack = Lack()  # of the target's release

    def generation(self, number: int | None) -> Generation | None:
        """Find a generation by its number."""
        return next((g for g in self.generations if g.number == number), None)

    def release(self, version: str) -> Release | None:
        """Find a release by its version."""
        return next((r for r in self.releases if r.version == version), None)

    def has(self, version: str, digest: str) -> bool:
        """Whether a release is here, with this manifest and every file of it."""
        release = self.release(version)
        return release is not None and release.complete and release.digest == digest

    @property
    def web(self) -> bool:
        """Whether it is there for users' requests."""
        return WEB in self.runs

    def up(self, name: str) -> bool:
        """Whether a process of the current generation is ready."""
        return any(p.name == name and p.generation == self.current and p.ready for p in self.processes)

    @property
    def serving(self) -> bool:
        """Whether the current generation's web server answers ready."""
        return self.up(WEB)

    @property
    def working(self) -> bool:
        """Whether all that it is there for is ready, of the current generation."""
        return self.current is not None and all(self.up(name) for name in self.runs)

    @property
    def on_duty(self) -> bool:
        """Whether it does what it is there for: users' requests reach it, its worker takes jobs."""
        return self.working and (self.in_service or not self.web)

    def without(self, names: Collection[str]) -> Host:
        """Answer the same host, there for less: a release may lack what a role asks for."""
        return replace(self, runs=tuple(name for name in self.runs if name not in names))

    @property
    def in_service(self) -> bool:
        """Whether users' requests reach this host now."""
        if not (self.web and self.serving):
            return False
        return self.server is None or (self.server.admin == "ready" and self.server.up)

    @property
    def fenced(self) -> bool:
        """Whether it could not be reached once, and gets no request until it runs what all run."""
        return bool(self.server and self.server.fenced)

    @property
    def moves(self) -> bool:
        """Whether it listens on another address than it shall."""
        return self.listening is not None and self.listening != self.listen

    @property
    def in_place(self) -> bool:
        """Whether users' requests reach this host where it shall listen."""
        found_at = self.server.address if self.server else ""
        return self.in_service and not self.fenced and not self.moves and found_at in ("", self.listen)

    def runs_only(self, number: int) -> bool:
        """Whether generation `number`, and nothing else, runs and is ready, where it shall."""
        alone = all(p.generation == number and p.name in self.runs for p in self.processes)
        return self.current == number and self.working and alone and not self.moves


def host_from_status(
    name: str, listen: str, status: Mapping[str, Any], server: Server | None, runs: tuple[str, ...] = (WEB,)
) -> Host:
    """Turn the agent's `status` answer (docs/reference/agent.md) into facts."""
    return Host(
        name=name,
        listen=listen,
        runs=runs,
        releases=tuple(
            Release(
                r["version"],
                r["digest"],
                r["complete"] is True,
                tuple(r.get("migrations", ())),
                frozenset(r.get("contracts", ())),
                form=r.get("form", "tree"),
                signature=r.get("signature"),
            )
            for r in status["releases"]
        ),
        generations=tuple(
            Generation(
                number=g["number"],
                version=g["version"],
                digest=g["digest"],
                env_digest=g["env_digest"],
                activated=g["activated"],
                migrated=g["migrated"],
                migrated_to=g.get("migrated_to", ""),
                created=g["created"],
            )
            for g in status["generations"]
        ),
        current=status["current"],
        processes=tuple(
            Process(p["generation"], p["pid"], p["ready"], p.get("since"), p.get("workers", 0), p.get("process", WEB))
            for p in status["processes"]
        ),
        server=server,
        listening=status["listening"],
        unreadable=tuple(status.get("unreadable", ())),
        platform=status["host"]["platform"],
        pythons=tuple(status["host"]["pythons"]),
        disk_free=status["host"]["disk_free"],
        agent=status.get("agent", ""),
        skew=status.get("skew", 0.0),
        lacking=tuple(status.get("lacking", ())),
        forms=status.get("forms", {}),
        deployer=_deployer(status.get("lease")),
        lease_number=status.get("lease_number", -1),
        signers=status.get("signers"),
    )


def _deployer(lease: Mapping[str, Any] | None) -> str:
    if lease and lease.get("problem"):
        return f"nobody can tell: {lease['problem']}"
    owner = (lease or {}).get("owner")
    return holder(owner) if owner else ""


def holder(owner: Mapping[str, Any]) -> str:
    """Name who holds a lease: a deployer, or a person who wants none."""
    who, host, pid, rollout = (owner.get(key, "unknown") for key in ("who", "host", "pid", "rollout"))
    doing = f"who locked it: {owner['why']}" if "why" in owner else f"process {pid}, rollout {rollout}"
    return f"{who}@{host}, {doing}"
