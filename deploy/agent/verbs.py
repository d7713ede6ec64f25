"""The verbs: one table feeds dispatch, checking of arguments and help.

The parts behind a verb are imported when it is called: a `status` must not pay for gzip, threads and subprocesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deploy.agent import arguments as a
from deploy.agent.arguments import Argument
from deploy.agent.channel import Channel
from deploy.agent.layout import Layout

Result = dict[str, Any]


class Agent(NamedTuple):
    """What a verb works with: where things lie, and who asks."""

    layout: Layout
    channel: Channel

    def say(self, detail: str) -> None:
        """Tell the operator what is going on."""
        self.channel.emit("waiting", detail=detail)

    def output(self, stream: str, text: str) -> None:
        """Pass on what a command says."""
        self.channel.emit("output", stream=stream, text=text)

    def left(self) -> bool:
        """Tell whether nobody waits for the answer any more."""
        return self.channel.hung_up()


class Verb(NamedTuple):
    """A verb: what it does, what it takes, whether it changes the server (then it takes the lock)."""

    name: str
    help: str
    carry_out: Callable[..., Result]
    arguments: tuple[Argument, ...] = ()
    writes: bool = False
    fenced: bool = False  # takes no lock, and yet is not for a deployer that was overtaken
    bare: bool = False  # needs no directories for releases: this host may serve none


def _status(agent: Agent, releases: bool, look: list[str] | None) -> Result:
    from deploy.agent.status import status

    return status(agent.layout, releases, look)


def _missing(agent: Agent, hashes: list[str]) -> Result:
    from deploy.agent import store

    return {"missing": store.missing(agent.layout, hashes)}


def _receive(agent: Agent, encoding: str, length: int) -> Result:
    from deploy.agent.receive import receive

    return receive(agent.layout, agent.channel.payload(length), encoding)


def _assemble(agent: Agent, manifest: str, signature: str | None) -> Result:
    from deploy.agent import generations, releases

    return releases.assemble(agent.layout, manifest.encode(), generations.claimed(agent.layout), signature)


def _install(agent: Agent, manifest: str, signature: str | None, sha256: str | None, length: int) -> Result:
    from deploy.agent import generations
    from deploy.agent.install import install, save

    package = save(agent.channel.payload(length), sha256) if sha256 else None
    claimed = generations.claimed(agent.layout)
    return install(agent.layout, manifest.encode(), signature, claimed, package, agent.say)


def _layers(agent: Agent, layers: list[str]) -> Result:
    from deploy.agent import images

    return {"have": images.have([f"sha256:{sha256}" for sha256 in layers])}


def _load(
    agent: Agent, manifest: str, signature: str | None, image: str, image_signature: str | None, length: int
) -> Result:
    from deploy.agent import generations, images, releases

    claimed = generations.claimed(agent.layout)
    wanted, by = releases.admit(agent.layout, manifest.encode(), claimed, signature, python=False)
    archive = agent.channel.payload(length) if length else None
    loaded = images.load(agent.layout, wanted, f"sha256:{image}", signature, image_signature, archive, agent.say)
    return {
        "version": wanted.version, "digest": wanted.digest, "loaded": loaded, "signed_by": by["by"] if by else None
    }  # fmt: skip


def _manifest(agent: Agent, version: str) -> Result:
    from deploy.agent import releases, signature

    text = releases.load(agent.layout, version).text.decode()
    return {"manifest": text, "signature": signature.read(agent.layout, version)}


def _verify(agent: Agent, version: str | None, repair: bool) -> Result:
    from deploy.agent.verify import verify

    return verify(agent.layout, version, repair)


def _prepare(
    agent: Agent, generation: int, version: str, digest: str, variables: Mapping[str, str], secrets: Mapping[str, str]
) -> Result:
    from deploy.agent import generations

    return {"created": generations.prepare(agent.layout, generation, version, digest, variables, secrets)}


def _variables(agent: Agent, generation: int, salt: str) -> Result:
    from deploy.agent import generations

    return generations.compare(agent.layout, generation, salt)


def _trial(agent: Agent, generation: int, check: str, deadline: float, linger: bool) -> Result:
    from deploy.agent import switch

    return switch.trial(agent.layout, generation, check, deadline, agent.say, linger=linger)


def _migrate(
    agent: Agent,
    generation: int,
    command: str,
    to: str | None,
    timeout: float | None,
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
) -> Result:
    from deploy.agent import commands, overlay

    replaced = overlay.Overlay(variables, secrets)
    return commands.migrate(agent.layout, generation, command, to, timeout, agent, replaced)


def _backup(agent: Agent, engine: str, database: str, keep: int, about: Mapping[str, Any]) -> Result:
    from deploy.agent.backups import make

    return make.backup(agent.layout, make.engine_of(agent.layout, engine, database), keep, about, agent.say)


def _backups(agent: Agent) -> Result:
    from deploy.agent.backups import kept

    return {"backups": [backup.facts() for backup in kept.every(agent.layout)]}


def _restore(agent: Agent, engine: str, database: str, backup: str) -> Result:
    from deploy.agent.backups import make

    return make.restore(agent.layout, make.engine_of(agent.layout, engine, database), backup, agent.say)


def _migrated(agent: Agent, to: str) -> Result:
    from deploy.agent import generations

    return {"generations": generations.mark_restored(agent.layout, to)}


def _activate(
    agent: Agent, generation: int, deadline: float, listen: str | None, processes: list[str], linger: bool
) -> Result:
    from deploy.agent import switch

    return switch.activate(agent.layout, generation, deadline, listen, processes, agent.say, linger=linger)


def _rollback(agent: Agent, to: int | None, deadline: float, listen: str | None, processes: list[str]) -> Result:
    from deploy.agent import switch

    return switch.rollback(agent.layout, to, deadline, listen, processes, agent.say)


def _start(agent: Agent, deadline: float, listen: str | None, processes: list[str] | None) -> Result:
    from deploy.agent import switch

    return switch.start(agent.layout, deadline, listen, processes, agent.say)


def _stop(agent: Agent, generation: int | None, timeout: float | None, processes: list[str] | None) -> Result:
    from deploy.agent import switch

    return switch.stop(agent.layout, generation, timeout, processes, agent.say)


def _prune(agent: Agent, keep: int) -> Result:
    from deploy.agent.prune import prune

    return prune(agent.layout, keep, agent.say)


def _run(agent: Agent, argv: list[str], generation: int | None, timeout: float | None) -> Result:
    from deploy.agent import commands

    return commands.run(agent.layout, argv, generation, timeout, agent)


def _logs(
    agent: Agent,
    lines: int,
    generation: int | None,
    follow: bool,
    since: float | None,
    level: str | None,
    request_id: str | None,
) -> Result:
    from deploy.agent.log_filter import Filter
    from deploy.agent.logs import logs

    def line(number: int, text: str) -> None:
        agent.channel.emit("line", generation=number, text=text)

    chosen = Filter(since, level, request_id)
    return {"lines": logs(agent.layout, lines, generation, follow, chosen, line, agent.left)}


def _ledger(agent: Agent, append: list[Mapping[str, Any]], tail: int, kind: str | None, rollout: str | None) -> Result:
    from deploy.agent import ledger

    entries = ledger.append(agent.layout, append)
    return {"entries": entries if append else ledger.tail(agent.layout, tail, kind, rollout)}


def _balancer(agent: Agent, commands: list[str], save: bool, token: int | None, hold: Any) -> Result:
    from deploy.agent.balancer import balancer

    return {"answers": balancer(agent.layout, commands, save, token, hold)}


def _lease(agent: Agent, action: str, owner: Mapping[str, Any] | None, ttl: float, token: int | None) -> Result:
    from deploy.agent import lease

    return lease.act(agent.layout, action, owner, ttl, token)


GENERATION = Argument("generation", a.integer(1))
GENERATION_OR_ALL = Argument("generation", a.integer(1).or_null(), None)
DEADLINE = Argument("deadline", a.SECONDS, 30)
LISTEN = Argument("listen", a.TEXT.or_null(), None)  # needed where web is one of the processes
PROCESSES = Argument("processes", a.PROCESSES, ["web"])
CHOSEN = Argument("processes", a.PROCESSES.or_null(), None)  # null: `start` what was activated, `stop` everything
LINGER = Argument("linger", a.FLAG, False)
TIMEOUT = Argument("timeout", a.SECONDS.or_null(), None)
DATABASE = (
    Argument("engine", a.one_of("postgresql", "sqlite")),
    Argument("database", a.TEXT),  # its name, or its file
)

PAYLOADS = ("receive", "install", "load")  # the verbs that may have `length` bytes behind their request

# Any request may have these; `lease` and `balancer` have a `token` of their own.
COMMON = (
    Argument("ledger", a.ANYTHING.or_null(), None),
    Argument("token", a.integer(0).or_null(), None),
    Argument("lock_timeout", a.SECONDS, 10),
)

VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "status", "the facts about this server", _status,
            (Argument("releases", a.FLAG, True), Argument("look", a.VERSIONS.or_null(), None)),
        ),
        Verb("missing", "which contents must be sent", _missing, (Argument("hashes", a.HASHES),)),
        Verb(
            "receive", "take contents from a tar stream behind the request", _receive,
            (Argument("encoding", a.one_of("identity", "gzip"), "identity"), Argument("length", a.integer())),
            writes=True,
        ),
        Verb(
            "assemble", "make or repair a release out of the store", _assemble,
            (Argument("manifest", a.TEXT), Argument("signature", a.TEXT.or_null(), None)), writes=True,
        ),
        Verb(
            "install", "install a release's rpm, sent behind the request or fetched by dnf", _install,
            (Argument("manifest", a.TEXT), Argument("signature", a.TEXT.or_null(), None),
             Argument("sha256", a.SHA256.or_null(), None), Argument("length", a.integer(), 0)), writes=True,
        ),
        Verb("layers", "how many of an image's layers the engine has", _layers, (Argument("layers", a.HASHES),)),
        Verb(
            "load", "make a release of an image, sent behind the request where the engine lacks it", _load,
            (Argument("manifest", a.TEXT), Argument("signature", a.TEXT.or_null(), None), Argument("image", a.SHA256),
             Argument("image_signature", a.TEXT.or_null(), None), Argument("length", a.integer(), 0)), writes=True,
        ),
        Verb("manifest", "the manifest of a release", _manifest, (Argument("version", a.VERSION),)),
        Verb(
            "verify", "read every byte of releases", _verify,
            (Argument("version", a.VERSION.or_null(), None), Argument("repair", a.FLAG, False)), writes=True,
        ),
        Verb(
            "prepare", "make a generation of a release and variables", _prepare,
            (GENERATION, Argument("version", a.VERSION), Argument("digest", a.SHA256), Argument("variables", a.TABLE),
             Argument("secrets", a.TABLE, {})), writes=True,
        ),
        Verb(
            "variables", "what a generation runs with, its secrets as marks to compare", _variables,
            (GENERATION, Argument("salt", a.TEXT)),
        ),
        Verb(
            "trial", "boot a generation on a private socket, ask it, stop it", _trial,
            (GENERATION, Argument("check", a.one_of("live", "ready"), "ready"), DEADLINE, LINGER), writes=True,
        ),
        Verb(
            "migrate", "run the contract's command that changes the database", _migrate,
            (GENERATION, Argument("command", a.one_of("migrate", "rehearse", "replay", "init", "seed"), "migrate"),
             Argument("to", a.TEXT.or_null(), None), TIMEOUT,
             Argument("variables", a.TABLE, {}), Argument("secrets", a.TABLE, {})), writes=True,
        ),
        Verb(
            "backup", "back the database on this host up, and prove the backup by restoring it", _backup,
            (*DATABASE, Argument("keep", a.integer(1), 5), Argument("about", a.ANYTHING, {})), writes=True, bare=True,
        ),
        Verb("backups", "list the backups on this host, newest first", _backups, bare=True),
        Verb(
            "restore", "restore a backup into a new database, and switch to that", _restore,
            (*DATABASE, Argument("backup", a.TEXT, "latest")), writes=True, bare=True,
        ),
        Verb(
            "migrated", "take note up to which revision a database that was restored is migrated", _migrated,
            (Argument("to", a.TEXT),), writes=True,
        ),
        Verb(
            "activate", "start a generation, wait until it is ready, make it current, stop the others", _activate,
            (GENERATION, DEADLINE, LISTEN, PROCESSES, LINGER), writes=True,
        ),
        Verb(
            "rollback", "activate an earlier generation", _rollback,
            (Argument("to", a.integer(1).or_null(), None), DEADLINE, LISTEN, PROCESSES), writes=True,
        ),
        Verb(
            "start", "start what is current, as after a reboot", _start, (DEADLINE, LISTEN, CHOSEN), writes=True
        ),
        Verb("stop", "stop a generation, or everything", _stop, (GENERATION_OR_ALL, TIMEOUT, CHOSEN), writes=True),
        Verb("prune", "remove what nobody will go back to", _prune, (Argument("keep", a.integer(1)),), writes=True),
        Verb(
            "run", "run a program of the app", _run,
            (Argument("argv", a.WORDS), GENERATION_OR_ALL, TIMEOUT),
        ),
        Verb(
            "logs", "show what a generation said", _logs,
            (Argument("lines", a.integer(), 100), GENERATION_OR_ALL, Argument("follow", a.FLAG, False),
             Argument("since", a.TIME.or_null(), None), Argument("level", a.one_of(*a.LEVELS).or_null(), None),
             Argument("request_id", a.TEXT.or_null(), None)),
        ),
        Verb(
            "ledger", "append to, or read, the record of rollouts", _ledger,
            (Argument("append", a.ENTRIES, []), Argument("tail", a.integer(), 200),
             Argument("kind", a.TEXT.or_null(), None), Argument("rollout", a.TEXT.or_null(), None)),
            fenced=True, bare=True,
        ),
        Verb(
            "lease", "the lock of one deployer at a time", _lease,
            (Argument("action", a.one_of("acquire", "renew", "release", "show")),
             Argument("owner", a.ANYTHING.or_null(), None), Argument("ttl", a.SECONDS, 60),
             Argument("token", a.integer(0).or_null(), None)),
            bare=True,
        ),
        Verb(
            "balancer", "look at, drain and restore servers of the load balancer on this host", _balancer,
            (Argument("commands", a.WORDS), Argument("save", a.FLAG, False),
             Argument("token", a.integer(0).or_null(), None), Argument("hold", a.ANYTHING.or_null(), None)),
            bare=True,
        ),
    )
}  # fmt: skip
