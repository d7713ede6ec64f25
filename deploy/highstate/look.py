"""What a server is like before it is set up: asked by a shell script, since there may be no Python yet."""

from __future__ import annotations

from dataclasses import dataclass

SCRIPT = r"""
say() { printf '%s=%s\n' "$1" "$2"; }
say user "$(id -u)"
if [ -r /etc/os-release ]; then . /etc/os-release; say system "$PRETTY_NAME"; say like " $ID $ID_LIKE "; fi
for manager in apt-get dnf; do command -v "$manager" >/dev/null && say manager "$manager" && break; done
[ -x "$1" ] && say python "$1"
[ -x "/usr/lib/$2/releasectl" ] && say agent yes
[ -L "/opt/$2/current" ] && say current "$(readlink "/opt/$2/current")"
command -v cloud-init >/dev/null && say cloud-init "$(cloud-init status 2>/dev/null | sed -n 's/^status: //p')"
say end yes
"""
FAMILIES = {"debian": "Debian", "ubuntu": "Debian", "rhel": "RedHat", "fedora": "RedHat", "centos": "RedHat"}


@dataclass(frozen=True)
class Server:
    """What was seen on a server."""

    host: str
    root: bool
    system: str  # its name, for people
    family: str  # as Salt says it; "" when it is none that the states know
    manager: str  # of packages
    python: bool  # whether it has the interpreter that the contract names
    agent: bool
    current: int | None  # number of the generation that it runs
    starting: bool  # cloud-init is still at work


def words(interpreter: str, name: str) -> list[str]:
    """Give the command that looks; `name` is the application's."""
    return ["sh", "-c", SCRIPT, "look", interpreter, name]


def understand(host: str, said: str) -> Server | None:
    """Read what the script said; None when it did not come to its end."""
    seen = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if "end" not in seen:
        return None
    like = seen.get("like", "").split()
    number = seen.get("current", "").rpartition("/")[2]
    return Server(
        host=host,
        root=seen.get("user") == "0",
        system=seen.get("system", "an unknown system"),
        family=next((FAMILIES[word] for word in like if word in FAMILIES), ""),
        manager=seen.get("manager", ""),
        python="python" in seen,
        agent="agent" in seen,
        current=int(number) if number.isdigit() else None,
        starting=seen.get("cloud-init") == "running",
    )


def problems(server: Server) -> list[str]:
    """Say what forbids to set a server up."""
    found = []
    if not server.root:
        found.append(f"{server.host}: expected root: ssh.admin has to be root, or a user with sudo")
    if not server.family:
        found.append(f"{server.host}: expected a system of the Debian or Red Hat family, got {server.system}")
    elif not server.manager:
        found.append(f"{server.host}: expected apt-get or dnf, found neither")
    return found
