"""The secrets of an environment: which there are, making them, replacing them. Never a value."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def secrets(c: Any, environment: str, generate: bool = False, rotate: str = "", json: bool = False) -> None:
    """Show which secrets ENV needs and has, never a value; --generate makes the missing ones."""
    from deploy import secrets_made, secrets_store
    from deploy.errors import SlipwayError
    from deploy.tasks import common

    settings, _ = common.open_environment(environment)
    maker = f"fab secrets:{environment} --generate" if settings.remote else f"fab bootstrap:{environment}"
    if generate and not settings.remote:
        raise SlipwayError(f"{environment}: its secrets are made when it is set up", hint=maker)
    names = [name for name in rotate.split(",") if name]
    where = secrets_made.rotate(settings, names) if names else ""
    made = secrets_made.generate_missing(settings) if generate else []
    needs = secrets_made.needed(settings)
    found = secrets_store.find(settings, needs)
    if json:
        rows = [_row(name, need, found, settings) for name, need in needs.items()]
        common.say_json({"environment": environment, "secrets": rows, "made": [*made, *names]})
        return
    for name in made:
        common.say(f"{name} made: {found.found[name].source}")
    for name in names:
        common.say(f"{name} made anew: {where}")
    common.say("\n".join(_table(needs, found, settings)))
    if missing := [name for name in needs if name not in found.found]:
        common.say(f"{len(missing)} missing -> {maker}")
    elif names:
        first = f"fab highstate:{environment}, then " if settings.remote else ""
        common.say(f"to use what is new -> {first}fab deploy:{environment}")


secrets.help = {  # type: ignore[attr-defined]
    "generate": "make those that are missing",
    "rotate": "make this one anew (several: A,B)",
    "json": help_texts.JSON,
}


def _row(name: str, need: Any, found: Any, settings: Any) -> dict[str, Any]:
    there = found.found.get(name)
    return {
        "name": name,
        "purpose": need.purpose,
        "made": need.made,
        "source": there.source if there else None,
        "note": _note(name, found, settings),
    }


def _table(needs: Any, found: Any, settings: Any) -> list[str]:
    from deploy.tasks.common import aligned

    rows = [["secret", "where", "for"]]
    for name, need in needs.items():
        there = found.found.get(name)
        missing = "missing" if need.made != "by you" else "missing: only you can give it"
        note = _note(name, found, settings)
        rows.append([name, there.source if there else missing, f"{need.purpose}; {note}" if note else need.purpose])
    return aligned(rows)


def _note(name: str, found: Any, settings: Any) -> str:
    """Say what can be said of a secret without showing it."""
    from deploy.secrets_made import CERTIFICATE

    there = found.found.get(name)
    if there is None:
        return str(found.reasons.get(name, ""))
    if name != CERTIFICATE:
        return ""
    from deploy import certificate

    if wrong := certificate.problem(there.value):
        return wrong
    described = certificate.describe(there.value)
    if described is None:
        return ""
    lacking = [name for name in settings.file.balancer.names if not certificate.covers(described, name)]
    note = f"{', '.join(described.names)}; until {described.until:%Y-%m-%d}"
    return f"{note}; NOT for {', '.join(lacking)}" if lacking else note
