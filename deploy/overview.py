"""Say in a few lines what a plan means: what is sent, what changes, what restarts, in which batches and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.batches import Policy, at_least, at_most
from deploy.changes import Change
from deploy.facts import Host
from deploy.plan import Group, Kind, Plan
from deploy.wording import count, human

PIECES = {"tree": "file", "rpm": "rpm", "image": "layer"}  # what a release is sent in
NAMED = 6  # hosts that are named one by one


def overview(
    hosts: Sequence[Host], plan: Plan, policy: Policy, changes: Sequence[Change]
) -> tuple[tuple[str, str], ...]:
    """Give lines of a word and what it is about; a word that goes on is empty."""
    if plan.is_empty:
        return ()
    turns = [group for group in plan.groups if _changed(group)]
    chosen = [host for host in hosts if policy.takes(host)]
    rows = _limited(hosts, policy)
    rows += [("instead of", _running(chosen)), ("sends", _sends(plan))]
    rows += _rows("variables", [str(change) for change in changes] or [_no_change(hosts)])
    rows += _rows("database", [_database(plan), *plan.waiting])
    if fenced := [step.host for step in plan.steps if step.kind is Kind.FENCE]:
        rows.append(("left out", f"{named(fenced)}: can't be reached, and gets no users until it runs what all run"))
    if turns:
        rows.append(("restarts" if any(host.serving for host in hosts) else "starts", _restarts(hosts, turns)))
        rows += _rows("order", _order(hosts, turns, policy, any(step.against for step in plan.steps)))
    return tuple(rows)


def _limited(hosts: Sequence[Host], policy: Policy) -> list[tuple[str, str]]:
    """Say who is left alone, and that this is meant."""
    others = [host for host in hosts if not policy.takes(host)]
    if not others:
        return []
    stays = f"{_running(others)} stays"
    return [("limited to", f"{named(policy.only)}; {stays}: hosts may differ, until the next deploy without --limit")]


def _rows(word: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(word if number == 0 else "", text) for number, text in enumerate(texts)]


def _running(hosts: Sequence[Host]) -> str:
    found: dict[str, list[str]] = {}
    for host in hosts:
        running = host.generation(host.current)
        serves = f"{running.version}, generation {running.number}" if running and host.serving else "nothing"
        found.setdefault(serves, []).append(host.name)
    return "; ".join(f"{what} on {named(names)}" for what, names in found.items())


def _sends(plan: Plan) -> str:
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.kind is Kind.STAGE and step.files:
            found.setdefault(f"{count(step.files, PIECES[step.form])}, {human(step.bytes)}", []).append(step.host)
    to = (f"{what} to {'each of ' * (len(names) > 1)}{named(names)}" for what, names in found.items())
    return "; ".join(to) or "nothing: every host has the release"


def _no_change(hosts: Sequence[Host]) -> str:
    return "none changes" if any(host.current is not None for host in hosts) else "all are new: nothing was here"


def _database(plan: Plan) -> str:
    found = [f"{step.kind}s: {step.why}" for step in plan.steps if step.kind in (Kind.MIGRATE, Kind.INIT, Kind.SEED)]
    once = next((step.host for step in plan.steps if step.kind in (Kind.MIGRATE, Kind.INIT, Kind.SEED)), "")
    found = [f"backs up on {step.host}, {step.why}" for step in plan.steps if step.kind is Kind.BACKUP] + found
    found = [f"on a scratch copy {step.why}" for step in plan.steps if step.kind is Kind.REHEARSE] + found
    return f"{'; '.join(found)}; once, on {once}" if found else "no migration"


def _changed(group: Group) -> list[str]:
    return [step.host for lane in group.lanes for step in lane if step.kind in (Kind.SWITCH, Kind.RESTART)]


def _restarts(hosts: Sequence[Host], turns: Iterable[Group]) -> str:
    changed = [name for group in turns for name in _changed(group)]
    runs = {host.name: host.runs for host in hosts}
    processes = dict.fromkeys(process for name in changed for process in runs[name])
    found = [f"{process} on {named([name for name in changed if process in runs[name]])}" for process in processes]
    if not any(host.serving for host in hosts):
        return "; ".join(found)
    return f"{'; '.join(found)}: new processes start beside the old ones, which finish and leave"


def _order(hosts: Sequence[Host], turns: Sequence[Group], policy: Policy, beside: bool) -> list[str]:
    if not any(host.in_service for host in hosts):
        return ["all at once: nothing is in service yet"]
    texts = [" -> ".join(_turn(group) for group in turns), _why(hosts, turns, policy)]
    if policy.bake:
        known = "servers that are still old" if beside else "what served before"
        texts.append(f"after each, {policy.bake:g} s of comparison with {known}; a worse release goes back")
    if policy.pause:
        pause = "asks whether to go on" if isinstance(policy.pause, str) else f"waits for {policy.pause:g} s"
        texts.append(f"after {'the canary' if policy.pause_after == 'canary' else 'each but the last'}, {pause}")
    return texts


def _turn(group: Group) -> str:
    drained = any(step.kind is Kind.DRAIN for lane in group.lanes for step in lane)
    users = any("too few in service" in step.why for lane in group.lanes for step in lane)
    text = named(_changed(group))
    text = f"{text} (canary)" if group.title == "canary" else text
    return f"{text} (undrained)" if users and not drained else text


def _why(hosts: Sequence[Host], turns: Sequence[Group], policy: Policy) -> str:
    total = sum(host.web for host in hosts)
    limits = [f"batch = {policy.batch}"] + ([f"canary = {policy.canary}"] if policy.canary and len(turns) > 1 else [])
    text = f"{', '.join(reversed(limits))}; at least {at_least(policy.floor, total)} of {total} in service"
    if policy.max_unavailable is not None:
        text += f", at most {at_most(policy.max_unavailable, total)} out"
    if any("(undrained)" in _turn(group) for group in turns):
        text += ": too few to drain, so both generations overlap on the socket"
    return text


def named(names: Sequence[str]) -> str:
    """Name hosts, the first few of many."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"
