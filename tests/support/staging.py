"""What a rollout does to bring a release to one host: measure what it lacks, then send that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import environment as environments
from deploy.agents import Agent
from deploy.artifacts import ReleaseTree
from deploy.facts import Host, Lack, host_from_status
from deploy.staging import Supply

TEXT = """
transport = "ssh"
artifact = "{artifact}"
rpm.source = "{source}"
balancer.listen = "10.0.0.1:80"
[hosts.web1]
roles = ["web", "lb"]
address = "10.0.0.2"
"""


@dataclass
class Operator:
    """The operator's side of one server; `call` carries out a verb there, `argv` is the line that starts a session."""

    folder: Path
    call: Callable[..., dict[str, Any]]
    argv: Callable[[str], Sequence[str]]

    def observe(self) -> Host:
        """Look at the server as a plan does."""
        return host_from_status("web1", "", self.call("status"), None)

    def bring(self, release: ReleaseTree, artifact: str, source: str = "operator") -> tuple[Lack, str]:
        """Measure, then stage; give what was lacking, and what was said of what was sent."""
        (self.folder / "one.toml").write_text(TEXT.format(artifact=artifact, source=source))
        supply, agent = Supply(environments.read("one", self.folder), release), Agent("web1", self.argv("session"))
        try:
            lack = supply.lack(agent, self.observe())
            return lack, supply.bring(agent, lack.form, 1, whole=not lack.files)
        finally:
            agent.close()

    def prepare(self, number: int, release: ReleaseTree, **variables: str) -> None:
        """Make a generation of a release that is there."""
        self.call(
            "prepare", generation=number, version=release.version, digest=release.digest, variables=variables,
            secrets={"SECRET_KEY": "sesame-4711"},
        )  # fmt: skip
