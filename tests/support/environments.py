"""Environment files for tests that need one of servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy import environment as environments
from deploy.environment import Environment

SERVERS = """
transport = "ssh"
signatures = "required"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]

[balancer]
listen = "10.0.0.11:443"
tls = "self-signed"
names = ["places.example"]

[hosts.lb1]
roles = ["lb"]
address = "10.0.0.11"

[hosts.web1]
roles = ["web"]
address = "10.0.0.21"

[hosts.web2]
roles = ["web", "worker"]
address = "10.0.0.22"
listen = "10.0.0.22:9000"

[hosts.db1]
roles = ["db"]
address = "10.0.0.31"

[variables]
DATABASE_URL = "postgresql+psycopg://sample@{db}/sample"
PLACE = "{environment}"

[migrate.secrets]
DATABASE_PASSWORD = "DATABASE_OWNER_PASSWORD"
"""


JOBS = '\n[hosts.jobs1]\nroles = ["worker"]\naddress = "10.0.0.41"\n'  # a host of workers, for those who want one


def hosts(addresses: Mapping[str, str]) -> str:
    """Describe servers that are named after their roles: web1 is one of the web hosts."""
    entry = '[hosts.{}]\nroles = ["{}"]\naddress = "{}"\n'
    return "\n".join(entry.format(name, name.rstrip("0123456789"), addresses[name]) for name in addresses)


def written(folder: Path, text: str = SERVERS, name: str = "prod") -> Environment:
    """Read an environment file of this text."""
    (folder / f"{name}.toml").write_text(text)
    return environments.read(name, folder)
