"""What a rollout brings to the hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.staging import Supply
    from deploy.variables import Variables


@dataclass(frozen=True)
class Payload:
    """What the target is made of. `supply` is None when the hosts have it already (a rollback)."""

    manifest: Mapping[str, Any]
    manifest_text: str
    variables: Variables | None = None
    supply: Supply | None = None
    signature: str | None = None
