"""What has to be on a server before Salt can run there: Python, and nobody else at work."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.highstate import reach
from deploy.highstate.look import Server
from deploy.highstate.reach import ServerError

TIMEOUT = 900.0  # seconds; a first boot may be updating all packages
SCRIPT = r"""
set -e
if command -v cloud-init >/dev/null; then cloud-init status --wait >/dev/null 2>&1 || :; fi
export DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
if command -v apt-get >/dev/null; then
    apt="apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
    dpkg --configure -a >/dev/null
    $apt install --yes --no-install-recommends "$1" >/dev/null 2>&1 ||
        { $apt update && $apt install --yes --no-install-recommends "$1" >/dev/null; }
else
    dnf --quiet --assumeyes --setopt=install_weak_deps=False install "$1"
fi
"""


def package(contract: Contract) -> str:
    """Name the package of the interpreter, in Debian's family and in Red Hat's."""
    return f"python{contract.python}"


def needed(server: Server) -> bool:
    """Say whether something has to be done before Salt can run."""
    return not server.python or server.starting


def prepare(
    environment: Environment, contract: Contract, servers: Mapping[str, Server]
) -> tuple[list[str], dict[str, SlipwayError]]:
    """Install Python where it is missing, when a first boot is done; name those prepared, and where it failed."""

    def one(host: str) -> None:
        words = ["sh", "-c", SCRIPT, "prepare", package(contract)]
        done = reach.run(environment, contract, host, words, TIMEOUT)
        if done.returncode:
            said = [line for line in done.stderr.strip().splitlines() if line][-3:]
            raise ServerError(
                f"{host}: {package(contract)} could not be installed ({servers[host].system})",
                problems=tuple(said),
                hint=f"install {contract.interpreter} there by hand, or mend its package mirror",
            )

    wanting = [host for host, server in servers.items() if needed(server)]
    _, errors = reach.side_by_side(wanting, one)
    return [host for host in wanting if host not in errors], errors
