"""Transient units with the settings of `<name>@.service`: same user, same sandbox, same credentials.

So nothing has to be installed for trials and commands, and what an administrator changed by a drop-in holds for them.
"""

from __future__ import annotations

from collections.abc import Iterable

# What makes a unit a listening, notifying service that is kept alive; a trial or a command is none.
LEFT_OUT = (
    "BusName", "Environment", "ExecCondition", "ExecReload", "ExecStart", "ExecStop", "FileDescriptorStore", "KillMode",
    "KillSignal", "NotifyAccess", "PIDFile", "PassEnvironment", "RemainAfterExit", "Restart", "Sockets", "Standard",
    "StartLimit", "Success", "SyslogIdentifier", "Timeout", "Type", "UnsetEnvironment", "Watchdog",
)  # fmt: skip


def settings(text: str, instance: str) -> list[tuple[str, str]]:
    """Read the [Service] settings out of `systemctl cat`, drop-ins included, in their order (systemd.syntax(7))."""
    found = []
    section = ""
    for line in joined(text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line:
            key, _, value = line.partition("=")
            if not key.strip().startswith(LEFT_OUT):
                found.append((key.strip(), expand(value.strip(), instance)))
    return found


def joined(lines: Iterable[str]) -> Iterable[str]:
    """Drop comments, and put lines together that end with a backslash."""
    whole = ""
    for line in lines:
        if line.lstrip().startswith(("#", ";")):
            continue  # also between the parts of a line
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        yield (whole + line).strip()
        whole = ""


def expand(value: str, instance: str) -> str:
    """Fill in the instance: a transient unit is an instance of nothing."""
    return "%".join(part.replace("%i", instance).replace("%I", instance) for part in value.split("%%"))


def systemd_run(
    unit: str, properties: Iterable[tuple[str, str]], options: Iterable[str], argv: Iterable[str]
) -> list[str]:
    """Build the command line of systemd-run."""
    given = [f"--property={key}={value}" for key, value in properties]
    return ["systemd-run", "--quiet", "--collect", "--no-ask-password", f"--unit={unit}", *options, *given, "--", *argv]
