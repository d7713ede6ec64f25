"""What `database` of a contract asks for, put into variables, secrets and a file, environment by environment. Pure.

Salt makes role and empty database on the host with the role `db`. The password stands in no address: whatever speaks by
libpq (psycopg, psycopg2), and asyncpg, finds it in the file that PGPASSFILE names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from deploy.contract_model import PASSWORDS, Database
from deploy.environment_model import EnvironmentFile

SECRET = {"owner": "DATABASE_OWNER_PASSWORD", "app": "DATABASE_PASSWORD"}
NOBODY = "# no database server of this environment\n"


@dataclass(frozen=True)
class Given:
    """What an application gets by which it finds its database; `lacking` says what a person has to write."""

    variables: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    config_files: dict[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


def roles(name: str) -> dict[str, str]:
    """Name the roles of an application: databases have underscores where it has dashes."""
    plain = name.replace("-", "_")
    return {"owner": f"{plain}_owner", "app": plain, "reader": f"{plain}_reader"}


def given(wanted: Database, name: str, file: EnvironmentFile) -> Given:
    """Say how the application finds its database; what the environment's own file says has precedence."""
    if any("db" in host.roles for host in file.hosts.values()):
        role, secret = roles(name)[wanted.role], SECRET[wanted.role]
        address = f"{wanted.driver}://{quote(role)}@{{db}}/{roles(name)['app']}"
        variables = {wanted.variable: address, "PGPASSFILE": f"{{state}}/{PASSWORDS}"}
        return Given(variables, (secret,), {PASSWORDS: f"*:*:*:{role}:{{{secret}}}\n"})
    none = {PASSWORDS: NOBODY}
    if wanted.variable in file.variables:
        return Given(config_files=none)
    if file.transport == "local" and wanted.sqlite:
        return Given({wanted.variable: f"sqlite:///{{directory}}/db/{name}.sqlite3"}, config_files=none)
    way = "or database.sqlite = true in the contract" if file.transport == "local" else 'or give a host the role "db"'
    lacking = f"{wanted.variable}: nobody says where the database is -> write it into [variables], {way}"
    return Given(config_files=none, lacking=(lacking,))
