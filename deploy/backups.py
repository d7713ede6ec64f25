"""Backups of an environment's database: which host has it, and what is asked of the agent there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from deploy import variables
from deploy.agents import AgentError
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.plan import Kind, Step, Target
from deploy.upkeep import Backup
from deploy.wording import count, human

if TYPE_CHECKING:
    from deploy.agents import Agent
    from deploy.hosts import Hosts

SILENCE = 3600.0  # seconds that a copy, or an index of a large table, may take without a word
LATEST = "latest"
HALF_DONE = "the database may be the restored one, and lack migrations"


@dataclass(frozen=True)
class Database:
    """An environment's database: the host whose agent can back it up, or why none can."""

    host: str = ""
    engine: str = ""
    name: str = ""  # or the file
    problem: str = ""


def find(environment: Environment) -> Database:
    """Say where the database is that the environment's variables name."""
    named = environment.file.backup.variable
    url = variables.fill_in(environment, environment.file.variables)[0].get(named)
    if not url:
        return Database(problem=f"no variable {named} says where the database is: [backup] variable names another")
    parts = urlsplit(url)
    kind, place = parts.scheme.partition("+")[0], unquote(parts.path)
    if kind == "sqlite":
        return Database(next(iter(environment.web)), kind, place[1:])
    if kind not in ("postgresql", "postgres"):
        whose = "expected PostgreSQL or SQLite; back it up by its own means (MariaDB: mariadb-dump)"
        return Database(problem=f"{named} is of {kind}, which can't be backed up from here: {whose}")
    hosts = environment.having("db")
    host = next((name for name, entry in hosts.items() if entry.address == parts.hostname), "")
    if not host:
        return Database(
            problem=f"{named} leads to {parts.hostname or 'a socket'}, and no host with the role db is that"
        )
    return Database(host, "postgresql", place.strip("/"))


def require(environment: Environment) -> Database:
    """Say where the database is.

    Raises: SlipwayError when it can't be backed up from here.
    """
    found = find(environment)
    if found.problem:
        raise SlipwayError(f"{environment.name}: {found.problem}", hint=f"mend {environment.path}")
    return found


@contextmanager
def agent(hosts: Hosts, database: Database) -> Iterator[Agent]:
    """Give a session with the agent of the database's host."""
    known = hosts.agents.get(database.host)
    if known:
        yield known
        return
    session = hosts.agent(database.host)
    try:
        yield session
    finally:
        session.close()


def every(hosts: Hosts) -> list[dict[str, Any]]:
    """List the backups of the environment's database, newest first."""
    database = require(hosts.environment)
    with agent(hosts, database) as there:
        found = there.call("backups")["backups"]
    return [entry for entry in found if (entry["engine"], entry["database"]) == (database.engine, database.name)]


def chosen(hosts: Hosts, identifier: str) -> Backup:
    """Find a backup, or the latest.

    Raises: SlipwayError naming those that there are.
    """
    found = every(hosts)
    entry = next((e for e in found if identifier in (LATEST, e["identifier"])), None)
    if entry is None:
        known = ", ".join(e["identifier"] for e in found[:5]) or "none"
        name = hosts.environment.name
        raise SlipwayError(f"{name}: there is no backup {identifier}; there are: {known}", hint=f"fab backups:{name}")
    about = entry["about"]
    host = require(hosts.environment).host
    return Backup(host, entry["identifier"], about.get("revision", ""), tuple(about.get("contracts", ())))


def about(target: Target, step: Step, by: str) -> dict[str, Any]:
    """Say what is kept beside a backup, for whoever restores it."""
    known = target.migrations
    there = known[: known.index(step.revision) + 1] if step.revision else ()
    contracts = [revision for revision in there if revision in target.contract_migrations]
    return {"why": step.why, "by": by, "version": target.version, "revision": step.revision, "contracts": contracts}


def made(answer: dict[str, Any]) -> str:
    """Say in a few words what a backup is."""
    rows = sum(n for name, n in answer["rows"].items() if not name.startswith("("))
    tables = sum(not name.startswith("(") for name in answer["rows"])
    said = f"{answer['identifier']}: {human(answer['bytes'])}; restored to see: {count(rows, 'row')}"
    return f"{said} in {count(tables, 'table')}"


def row(entry: dict[str, Any]) -> list[str]:
    """Write a backup for a person, in columns."""
    about, rows = entry["about"], sum(n for name, n in entry["rows"].items() if not name.startswith("("))
    revision, why = about.get("revision", ""), about.get("why", "")
    return [entry["identifier"], human(entry["bytes"]), f"{rows:,}", revision or "-", why]


def back_up(hosts: Hosts, target: Target, step: Step, by: str) -> str:
    """Have a backup made and proven; say what it is.

    Raises: AgentError, AgentGone.
    """
    database = require(hosts.environment)
    with agent(hosts, database) as there:
        more = {"keep": hosts.environment.file.backup.keep, "about": about(target, step, by)}
        request = {"engine": database.engine, "database": database.name, **more}
        answer = there.request("backup", request, silence=SILENCE)
    return made(answer)


def load(hosts: Hosts, step: Step) -> str:
    """Have a backup restored into a new database and switched to; let every host know how far it is migrated.

    Raises: AgentError, AgentGone.
    """
    database = require(hosts.environment)
    with agent(hosts, database) as there:
        request = {"engine": database.engine, "database": database.name, "backup": step.backup}
        answer = there.request("restore", request, silence=SILENCE)
    hosts.each(lambda host, one: one.call("migrated", to=step.revision, token=hosts.tokens[host]), hosts.there)
    kept = f"; what was in use until now: {answer['before']}" if answer["before"] else ""
    return f"{made(answer)}{kept}"


def may_be_restored(touched: Collection[Kind], error: SlipwayError) -> bool:
    """Say whether the database may be another now, though a restore failed: all but an agent's own refusal."""
    step = getattr(error, "step", None)
    refused = step is not None and step.kind is Kind.LOAD and isinstance(error.__cause__, AgentError)
    return Kind.LOAD in touched and not refused
