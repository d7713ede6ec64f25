"""Whether the bytes on the hosts are the ones that were built."""

from __future__ import annotations

from typing import Any


def verify(c: Any, environment: str, json: bool = False) -> None:
    """Read every byte of every release of ENV and compare it with its manifest."""

    from deploy.errors import Exit, SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.wording import count

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        answers = hosts.each(lambda name, agent: agent.request("verify", {"version": None}, silence=600.0))
    found = {name: answer["releases"] for name, answer in answers.items()}
    problems = [
        f"{name}: {release['version']}: {p['path']}: expected {p['expected']}, got {p['got']}"
        for name, checked in found.items()
        for release in checked
        for p in release["problems"]
    ]
    if json:
        common.say_json({"environment": environment, "hosts": found})
    else:
        for name, checked in found.items():
            for release in checked:
                state = f"{len(release['problems'])} wrong" if release["problems"] else "as built"
                common.say(
                    f"{name}  {release['version']}  {release['digest'][:12]}  {release['files']:,} files  {state}"
                )
    if problems:
        raise SlipwayError(
            f"{environment}: {count(len(problems), 'file')} not as in the manifest",
            problems=tuple(problems[:20]),
            hint=f"fab deploy:{environment} repairs the release it deploys",
            exit_code=Exit.MIXED,
        )
