"""Whether the bytes on the hosts, and what runs there, are what was built."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def verify(c: Any, environment: str, rebuild: bool = False, limit: str = "", json: bool = False) -> None:
    """Prove which bytes ENV runs: every file against its manifest, signatures, processes; --rebuild: its commit too."""
    from dataclasses import asdict

    from deploy.errors import Exit, SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        common.only(hosts, limit)
        hosts.require_bootstrap()
        answers = hosts.each(lambda name, agent: _answer(agent))
        built = _rebuilt(hosts) if rebuild else []
    found = {name: answer["releases"] for name, answer in answers.items()}
    processes = {name: answer["processes"] for name, answer in answers.items()}
    if json:
        more = {"rebuilt": [asdict(each) for each in built]} if rebuild else {}
        common.say_json({"environment": environment, "hosts": found, "processes": processes, **more})
    else:
        for line in _lines(found, processes, built):
            common.say(line)
    problems = _problems(found, processes, built)
    if problems:
        raise SlipwayError(
            f"{environment}: not what was built, or can't be proven",
            problems=tuple(problems[:20]),
            hint=f"fab deploy:{environment} repairs the release it deploys, and ends what should not run",
            exit_code=Exit.MIXED,
        )


def _lines(found: dict[str, Any], processes: dict[str, Any], built: list[Any]) -> list[str]:
    """Say what was read, what runs, and what was built again."""
    lines = []
    for name, checked in found.items():
        for release in checked:
            state = f"{len(release['problems'])} wrong" if release["problems"] else "as built"
            lines.append(
                f"{name}  {release['version']}  {release['digest'][:12]}  {release['files']:,} files  {state}, "
                f"{_signed(release['signature'])}"
            )
        runs = sorted({p["generation"] for p in processes[name] if not p["problem"]})
        lines += [f"{name}  runs generation {', '.join(map(str, runs))}, out of its release"] if runs else []
    for each in built:
        state = each.problem or f"a build of commit {each.commit[:12]} gives the same bytes"
        lines.append(f"{each.version}  {state}, {each.seconds:.1f} s")
    return lines


def _problems(found: dict[str, Any], processes: dict[str, Any], built: list[Any]) -> list[str]:
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
    problems += [
        f"{name}: process {p['pid']}: {p['problem']}" for name, them in processes.items() for p in them if p["problem"]
    ]
    for each in built:
        problems += [f"{each.version}: {each.problem}"] if each.problem else []
        problems += [f"{each.version}: {difference}" for difference in each.differences]
    return problems


def _rebuilt(hosts: Any) -> list[Any]:
    """Build what runs once more, each version once."""
    from deploy.artifacts.supply.rebuild import rebuild
    from deploy.tasks import common

    texts: dict[str, str] = {}
    for name, status in hosts.each(lambda name, agent: agent.call("status", releases=False)).items():
        current = next((g for g in status["generations"] if g["number"] == status["current"]), None)
        if current and current["digest"] not in texts:
            answer = hosts.agents[name].call("manifest", version=current["version"])
            texts[current["digest"]] = answer["manifest"]
    return [rebuild(common.ROOT, text) for text in texts.values()]


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


verify.help = {  # type: ignore[attr-defined]
    "rebuild": "build the commit of what runs once more, and compare",
    "limit": help_texts.LIMIT,
    "json": help_texts.JSON,
}
