"""What must hold before anything is touched. All problems are reported together."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import packages
from deploy.environment import Environment
from deploy.environment_model import PROCESS_ROLES
from deploy.errors import SlipwayError
from deploy.facts import WEB, Host
from deploy.variables import Variables, for_migrate

CHECK_TIMEOUT = 30.0  # seconds
SKEW = 2.0  # seconds that clocks may differ
SPARE = 150_000_000  # bytes that stay free on a host's disk: logs, ledger, a database that grows


class PreflightFailed(SlipwayError):
    """Something must be mended first; nothing was touched."""


def host_problems(hosts: Sequence[Host], manifest: Mapping[str, Any], *, shared_disk: bool = False) -> list[str]:
    """List what forbids this release on these hosts."""
    problems = []
    for host in hosts:
        if manifest["platform"] not in ("any", host.platform):
            problems.append(
                f"{host.name}: the release is built for {manifest['platform']}, the host is {host.platform}"
            )
        if host.lack.form != "image" and manifest["python"] not in ("any", *host.pythons):  # an image brings its own
            got = ", ".join(host.pythons) or "none"
            problems.append(
                f"{host.name}: expected {manifest['interpreter']} (Python {manifest['python']}), it has {got}"
            )
        # The hosts of the embedded environment are directories of one disk.
        needed = (sum(h.lack.room for h in hosts) if shared_disk else host.lack.room) + SPARE
        if host.disk_free is not None and host.disk_free < needed:
            problems.append(
                f"{host.name}: expected {needed / 1e6:,.0f} MB of free disk, it has {host.disk_free / 1e6:,.0f} MB"
            )
    return problems


def server_problems(environment: Environment, hosts: Sequence[Host], agent: str, *, balanced: bool = True) -> list[str]:
    """List what forbids a rollout on these servers as they are set up.

    `agent` is the version that we speak with; not `balanced` means that nobody could ask the load balancer.
    """
    mend, problems = f"-> fab highstate:{environment.name}", []
    for host in hosts:
        if host.agent != agent:
            other = host.agent or "unknown"
            problems.append(f"{host.name}: releasectl is another version ({other}, not {agent}) {mend}")
        if host.lacking:
            problems.append(f"{host.name}: not installed: {', '.join(host.lacking)} {mend}")
        problems += [f"{problem} {mend}" for problem in form_problems(environment, host)]
        if abs(host.skew) > SKEW:
            problems.append(
                f"{host.name}: its clock is {abs(host.skew):.1f} s {'ahead of' if host.skew > 0 else 'behind'} ours, "
                f"expected at most {SKEW:.0f} s -> timedatectl, over there and here"
            )
        if balanced and host.web and host.server is None:
            problems.append(f"{host.name}: the load balancer knows no such server {mend}")
    return problems


def form_problems(environment: Environment, host: Host) -> list[str]:
    """Say what a host needs for releases in the form that the environment chose, or in the one that it has."""
    file, problems = environment.file, []
    for form in sorted({file.artifact, host.lack.form}):
        source = "repository" if form == "rpm" and file.rpm.source == "repository" else form
        if missing := host.forms.get(source):
            problems.append(f'{host.name}: artifact = "{form}" needs {" and ".join(missing)}, which it has not')
    return problems


def release_problems(environment: Environment, manifest: Mapping[str, Any]) -> list[str]:
    """List what the environment file has against this release."""
    problems = []
    if environment.file.dirty == "refused" and manifest["dirty"]:
        why = f'{environment.path} says dirty = "refused" -> commit, then make release'
        problems.append(f"release {manifest['version']} has changes that nobody committed, and {why}")
    web = list(environment.web)
    if manifest["contract"].get("scale") == "one" and environment.remote and len(web) > 1:
        problems.append(
            f'{", ".join(web)}: the contract says scale = "one" (its data are files of one server), and these are '
            f"{len(web)} -> leave one of them in {environment.path}, or give the application a database"
        )
    # Servers are asked by their agents, before anything of a release gets there; `local` is this very computer.
    wanted = manifest["contract"].get("system_packages", {})
    if not environment.remote and (missing := packages.lacking(wanted)):
        problems.append(
            f"this computer: not installed: {', '.join(missing)} (system_packages of the contract) "
            f"-> as root: {packages.install(missing)}"
        )
    kept = [key for key in ("links", "config_files", "state_dirs") if manifest["contract"].get(key)]
    if environment.file.artifact == "image" and kept:
        problems.append(
            f'the contract has {" and ".join(kept)}, which no agent lays out for a container -> artifact = "tree" or '
            f'"rpm" in {environment.path} (an image by itself lays them out, wherever else it runs)'
        )
    for role in PROCESS_ROLES:
        hosts = ", ".join(environment.having(role))
        if role != WEB and hosts and role not in manifest["contract"].get("processes", {}):
            problems.append(
                f"{hosts}: the role {role} needs a process that release {manifest['version']} has not "
                f"-> [tool.slipway.processes.{role}] in pyproject.toml"
            )
    return problems


def variable_problems(tree: Path, manifest: Mapping[str, Any], variables: Variables) -> list[str]:
    """Ask the new release itself what is wrong with its variables: all of them at once, before a host is touched.

    The release's `check` command gets them as a file that never touches a disk (memfd_create(2)): some are secret.
    """
    command = manifest["contract"]["commands"].get("check")
    if not command:
        return []
    values = {**variables.plain, **variables.revealed()}
    descriptor = os.memfd_create("variables")
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
            file.writelines(f"{name}={json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
        return _ask(tree, [*command, "--env-file", f"/dev/fd/{descriptor}"], descriptor)
    finally:
        os.close(descriptor)


def migrate_problems(environment: Environment, tree: Path, manifest: Mapping[str, Any], wanted: Variables) -> list[str]:
    """List what is wrong with the variables that the migrate command gets instead, or missing of them."""
    instead = for_migrate(environment)
    if not (instead.plain or instead.secret):
        return []
    known = variable_problems(tree, manifest, wanted)
    found = variable_problems(tree, manifest, wanted.replaced_by(instead))
    return [f"for migrate: {problem}" for problem in found if problem not in known]


def _ask(tree: Path, command: list[str], descriptor: int) -> list[str]:
    try:
        done = subprocess.run(
            [tree / "bin" / "python", "-B", *command],
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=tree,
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"the release can't check its variables: {error}"]
    try:
        errors = json.loads(done.stdout)["errors"]
    except (ValueError, KeyError, TypeError):
        said = (done.stderr or done.stdout).strip().splitlines()
        return [f"the release can't check its variables: {said[-1] if said else f'exit code {done.returncode}'}"]
    return [f"{e['variable']}: expected {e['expected']}; got {e['got']}" for e in errors]
