"""What a server says of itself is checked before anybody believes it: an agent may be of another age, or not ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.errors import SlipwayError

_Shape = Any
_TEXT, _NUMBER, _WHOLE, _FLAG = (str,), (int, float), (int,), (bool,)
_MAYBE = (type(None),)

# Keys that must be there, each with the types that it may have; a list holds what its only entry says. "?": or absent.
STATUS: Mapping[str, _Shape] = {
    "releases": [
        {
            "version": _TEXT,
            "digest": _TEXT,
            "complete": _FLAG + _MAYBE,
            "migrations?": [_TEXT],
            "contracts?": [_TEXT],
            "form?": _TEXT,
            "signature?": _TEXT + _MAYBE,
        }
    ],
    "generations": [
        {
            "number": _WHOLE,
            "version": _TEXT,
            "digest": _TEXT,
            "env_digest": _TEXT,
            "created": _NUMBER,
            "activated": _NUMBER + _MAYBE,
            "migrated": _FLAG,
            "migrated_to?": _TEXT,
        }
    ],
    "processes": [
        {
            "generation": _WHOLE,
            "pid": _WHOLE,
            "ready": _FLAG + _MAYBE,
            "since?": _NUMBER + _MAYBE,
            "workers?": _WHOLE,
            "process?": _TEXT,
        }
    ],
    "current": _WHOLE + _MAYBE,
    "listening": _TEXT + _MAYBE,
    "host": {"platform": _TEXT, "pythons": {}, "disk_free": _NUMBER, "time": _NUMBER},
    "unreadable?": [_WHOLE],
    "agent?": _TEXT,
    "lacking?": [_TEXT],
    "forms?": {},
    "lease?": ({}, *_MAYBE),
    "lease_number?": _WHOLE,
    "signers?": _TEXT + _MAYBE,
}


def require(host: str, status: Any) -> dict[str, Any]:
    """Give a status back that is one.

    Raises: SlipwayError naming the first key that is not as it should be.
    """
    wrong = _wrong(status, STATUS, "status")
    if wrong:
        raise SlipwayError(
            f"{host}: the agent's answer can't be understood: {wrong}", hint="it may be of another version: highstate"
        )
    found: dict[str, Any] = status
    return found


def _wrong(value: Any, shape: _Shape, where: str) -> str:
    """Say what is not as its shape; empty when all is."""
    if isinstance(shape, tuple):
        fits = any(isinstance(value, dict) if each == {} else type(value) is each for each in shape)
        return "" if fits else f"{where} is {type(value).__name__}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        return next((bad for each in value if (bad := _wrong(each, shape[0], f"one of {where}"))), "")
    if not isinstance(value, dict):
        return f"{where} is no object"
    for key, wanted in shape.items():
        name = key.rstrip("?")
        if name in value and (bad := _wrong(value[name], wanted, f"{where}.{name}")):
            return bad
        if name not in value and name == key:
            return f"{where} has no {name}"
    return ""
