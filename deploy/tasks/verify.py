"""Whether the bytes on the hosts are the ones that were built."""

from __future__ import annotations

from typing import Any


def verify(c: Any, environment: str, json: bool = False) -> None:
    """Read every byte of every release of ENV, compare it with its manifest, and say who signed that."""

    from deploy.errors import Exit, SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.wording import count

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        answers = hosts.each(lambda name, agent: _answer(agent))
    found = {name: answer["releases"] for name, answer in answers.items()}
    problems = [
        f"{name}: {release['version']}: {p['path']}: expected {p['expected']}, got {p['got']}"
        for name, checked in found.items()
        for release in checked
        for p in release["problems"]
    ]
    problems += [
        f"{name}: {release['version']}: {release['signature']['problem']}"
        for name, checked in found.items()
        for release in checked
        if release["signature"]["state"] == "bad"
    ]
    if json:
        common.say_json({"environment": environment, "hosts": found})
    else:
        for name, checked in found.items():
            for release in checked:
                state = f"{len(release['problems'])} wrong" if release["problems"] else "as built"
                common.say(
                    f"{name}  {release['version']}  {release['digest'][:12]}  {release['files']:,} files  {state}, "
                    f"{_signed(release['signature'])}"
                )
    if problems:
        raise SlipwayError(
            f"{environment}: {count(len(problems), 'file')} not as in the manifest",
            problems=tuple(problems[:20]),
            hint=f"fab deploy:{environment} repairs the release it deploys",
            exit_code=Exit.MIXED,
        )


def _answer(agent: Any) -> dict[str, Any]:
    """Ask a host; where it checks no signatures, look at them from here."""
    from deploy import signatures
    from deploy.artifacts import signing
    from deploy.errors import SlipwayError

    answer: dict[str, Any] = agent.request("verify", {"version": None}, silence=600.0)
    for release in answer["releases"]:
        if release["signature"]["state"] == "unchecked" and signatures.SIGNERS.is_file():
            there, what = agent.call("manifest", version=release["version"]), f"release {release['version']}"
            try:
                signed = signing.verify_text(there["manifest"].encode(), there["signature"], signatures.SIGNERS, what)
                release["signature"] |= {"by": signed.by, "key": signed.key}
            except SlipwayError as error:
                release["signature"] |= {"problem": error.message}
    return answer


def _signed(signature: dict[str, Any]) -> str:
    if signature.get("by"):
        return f"signed by {signature['by']} ({signature['key']})"
    return {"unsigned": "not signed", "unchecked": "signed by somebody unknown here"}.get(
        signature["state"], "its signature is not good"
    )
