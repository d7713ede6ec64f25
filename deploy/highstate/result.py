"""What came of a highstate on one server: which states changed something, which failed, and how a person reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

COMMAND = {"pid", "retcode", "stdout", "stderr"}  # what cmd.run says has changed: that it ran
LINES = 40  # of one state's changes; a longer one is cut, and `--json` has it all


@dataclass(frozen=True)
class State:
    """One state and what became of it. `result` is None when a dry run would change something."""

    id: str
    sls: str
    function: str
    name: str
    result: bool | None
    changes: Mapping[str, Any]
    comment: str
    ms: float
    order: int

    @property
    def failed(self) -> bool:
        """Whether it is not as it should be."""
        return self.result is False

    @property
    def changed(self) -> bool:
        """Whether it changed something, or would."""
        return not self.failed and (self.result is None or bool(self.changes))


@dataclass(frozen=True)
class Result:
    """All states of one server, or why Salt refused to run them."""

    host: str
    states: tuple[State, ...]
    errors: tuple[str, ...] = ()
    left: int = 0  # states that were not run, since the operator stopped

    @property
    def changed(self) -> list[State]:
        """The states that changed something, in the order they ran."""
        return sorted((state for state in self.states if state.changed), key=lambda state: state.order)

    @property
    def failed(self) -> list[State]:
        """The states that failed, in the order they ran."""
        return sorted((state for state in self.states if state.failed), key=lambda state: state.order)

    @property
    def good(self) -> bool:
        """Whether the server is as it should be."""
        return bool(self.states) and not self.errors and not self.failed and not self.left


def sentence(result: Result, *, test: bool) -> str:
    """Say in a line how a server is."""
    if result.errors:
        return "Salt refused the states"
    verb = "would change" if test else "changed"
    ran, total = len(result.states), len(result.states) + result.left
    many = f"stopped after {ran} of {total} states" if result.left else f"{ran} states"
    return f"{many}: {len(result.changed)} {verb}, {len(result.failed)} failed"


def details(result: Result, mask: Callable[[str], str], *, test: bool, failures_only: bool = False) -> Iterator[str]:
    """Tell every change and failure, with differences; secrets have stars in their place."""
    for error in result.errors:
        yield from (f"  {line}" for line in mask(error).splitlines())
    verb = "would change" if test else "changed"
    told_of = result.failed if failures_only else sorted([*result.changed, *result.failed], key=lambda each: each.order)
    for state in told_of:
        yield f"  {'FAILED' if state.failed else verb}  {mask(state.id)} ({state.sls})"
        told = [line for line in mask(state.comment).strip().splitlines() if line]
        lines = [*(told if state.failed or not state.changes else ()), *_flat(state.changes)]
        shown = [mask(line) for line in lines]
        yield from (f"      {line}" for line in shown[:LINES])
        if len(shown) > LINES:
            yield f"      ... and {len(shown) - LINES} lines more; --json has them"


def as_json(result: Result, mask: Callable[[str], str]) -> dict[str, Any]:
    """Give a server's result for a machine: counts, and each state that changed or failed."""
    return {
        "host": result.host,
        "states": len(result.states),
        "left": result.left,
        "changed": [_masked(_row(state), mask) for state in result.changed],
        "failed": [_masked(_row(state), mask) for state in result.failed],
        "errors": [mask(error) for error in result.errors],
    }


def _row(state: State) -> dict[str, Any]:
    return {
        "id": state.id,
        "sls": state.sls,
        "function": state.function,
        "name": state.name,
        "comment": state.comment,
        "changes": dict(state.changes),
        "ms": round(state.ms),
    }


def _masked(node: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(node, str):
        return mask(node)
    if isinstance(node, Mapping):
        return {mask(str(key)): _masked(value, mask) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_masked(value, mask) for value in node]
    return node


def _flat(changes: Mapping[str, Any]) -> Iterator[str]:
    """Write a state's changes as lines: differences as they are, old and new on one line."""
    packages: list[str] = []
    if set(changes) >= COMMAND:
        yield from "\n".join(str(changes[key]).strip() for key in ("stdout", "stderr")).strip().splitlines()
        return
    for key, value in changes.items():
        if value in ("", None):
            continue
        if key == "diff" and isinstance(value, str):
            yield from value.strip().splitlines()
        elif isinstance(value, Mapping) and set(value) == {"old", "new"} and _short(value.values()):
            packages.append(_change(str(key), value["old"], value["new"]))
        elif isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _flat(value))
        else:
            yield from _lines(str(key), value)
    if len(packages) > 8:
        yield f"{len(packages)} packages: {', '.join(line.partition(':')[0] for line in packages)}"
    else:
        yield from packages


def _short(values: Iterable[Any]) -> bool:
    return all(not isinstance(value, Mapping) and "\n" not in str(value) for value in values)


def _change(key: str, old: Any, new: Any) -> str:
    return f"{key}: {old} -> {new}" if old else f"{key}: {new}"


def _lines(key: str, value: Any) -> Iterator[str]:
    text = str(value).strip()
    if "\n" not in text:
        yield f"{key}: {text}"
        return
    yield f"{key}:"
    yield from (f"  {line}" for line in text.splitlines())
