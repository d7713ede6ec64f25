"""A plan that was looked at and kept: `fab plan:ENV --out FILE`, then `fab deploy:ENV --plan FILE` does just that."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import SlipwayError
from deploy.plan import Plan
from deploy.report import plan_as_json

SCHEMA = 1


class SavedPlanError(SlipwayError):
    """A saved plan can't be read, or is not what would be done now."""


@dataclass(frozen=True)
class SavedPlan:
    """What was announced. `mark` stands for the variables, secrets included, and tells nothing about them."""

    path: Path
    environment: str
    plan: Mapping[str, Any]
    salt: str
    mark: str

    @property
    def version(self) -> str:
        """The release that it is about."""
        return str(self.plan["version"])

    @property
    def limit(self) -> tuple[str, ...]:
        """The hosts that it is limited to; none named: all."""
        return tuple(map(str, self.plan.get("limit", ())))

    def require(self, environment: str, now: Plan) -> None:
        """Refuse when what would be done now differs from what was announced.

        Raises: SavedPlanError naming the first difference.
        """
        moved = self.difference(environment, now)
        if moved:
            raise SavedPlanError(
                f"{environment}: {self.path} is not what would be done now: {moved}; nothing was touched",
                hint=f"fab plan:{environment} --out {self.path} makes a new one",
            )

    def difference(self, environment: str, now: Plan) -> str:
        """Say what has moved since; empty when nothing has."""
        wanted, found = self.plan, json.loads(json.dumps(plan_as_json(now)))
        if environment != self.environment:
            return f"it is about {self.environment}"
        for key, name in (("version", "the release"), ("digest", "the release's bytes")):
            if wanted[key] != found[key]:
                return f"{name} was {wanted[key]} and is {found[key]}"
        if not hmac.compare_digest(self.mark, _mark(now, self.salt)):
            return "the variables have changed"
        if wanted["generation"] != found["generation"]:
            return f"the generation was {wanted['generation']} and is {found['generation']}"
        if now.is_empty:  # done already: typing it again does nothing, as always
            return ""
        before, after = _lines(wanted), _lines(found)
        for line in (line for line in [*before, *after] if (line in before) != (line in after)):
            return f"it {'lacks' if line in after else 'has'} `{line}`"
        return "" if before == after else "the order of the steps"


def save(path: Path, environment: str, plan: Plan) -> None:
    """Write a plan to a file.

    Raises: SavedPlanError when the file can't be written.
    """
    salt = secrets.token_hex(16)
    content = {
        "schema": SCHEMA,
        "environment": environment,
        "plan": plan_as_json(plan),
        "salt": salt,
        "mark": _mark(plan, salt),
    }
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        aside.rename(path)
    except OSError as error:
        raise SavedPlanError(f"{path}: the plan can't be written: {error.strerror}") from None


def read(path: Path) -> SavedPlan:
    """Read a plan back.

    Raises: SavedPlanError when it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise SavedPlanError(f"{path}: expected a plan of schema {SCHEMA}, got {content['schema']!r}")
        saved = SavedPlan(path, content["environment"], content["plan"], content["salt"], content["mark"])
        texts = (saved.environment, saved.salt, saved.mark, *saved.plan.get("limit", ()))
        if not all(isinstance(text, str) and text.isascii() for text in texts):
            raise ValueError("expected names and hex digits")
        _ = (saved.version, _lines(saved.plan), saved.plan["digest"], saved.plan["generation"])
    except OSError as error:
        raise SavedPlanError(f"{path}: {error.strerror}", hint="fab plan:ENV --out FILE writes one") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SavedPlanError(
            f"{path}: expected a plan as `fab plan:ENV --out FILE` writes it", hint="write it anew"
        ) from None
    return saved


def _mark(plan: Plan, salt: str) -> str:
    return hmac.new(salt.encode(), plan.target.env_digest.encode(), hashlib.sha256).hexdigest()


def _lines(plan: Mapping[str, Any]) -> list[str]:
    """Write each step as a line with its group's title; what is sent is left out: it follows from what is there."""
    return [
        f"{group['title']}: {step['kind']} {step['host']}: {step['why']}"
        for group in plan["groups"]
        for lane in group["lanes"]
        for step in lane
    ]
