"""What a server is sent for a highstate, beside Salt itself: states, what is made from the contract, its own pillar."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts import agent, units
from deploy.artifacts.files import MTIME
from deploy.contract import Contract
from deploy.environment import ROOT, Environment
from deploy.pillar import as_sls

STATES = ROOT / "salt"
RUNNER = Path(__file__).with_name("run_states.py")
FOR_PEOPLE = (".md", ".example")  # endings of files that no state reads


def states(contract: Contract, folder: Path = STATES) -> dict[str, bytes]:
    """Give every file of the states, with what is made from the contract under `artifacts/`."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.suffix not in FOR_PEOPLE}
    files["artifacts/releasectl"] = agent.build()
    files["artifacts/files.json"] = json.dumps(units.render(contract), indent=1, sort_keys=True).encode()
    return files


@dataclass(frozen=True)
class Parcel:
    """The files of one host. A server that has them, as their key tells, is not sent them again."""

    files: Mapping[str, bytes]

    @property
    def key(self) -> str:
        """Name the content; a server names what it has in the same way (`digest` in remote.py)."""
        sums = {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}
        lines = [f"{sums[path]}  {path}\n" for path in sorted(sums)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def pack(self) -> bytes:
        """Pack the files: the same bytes for the same content."""
        packed = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            for path, content in sorted(self.files.items()):
                member = tarfile.TarInfo(path)
                member.size, member.mode, member.mtime = len(content), 0o600, MTIME
                tar.addfile(member, io.BytesIO(content))
        return packed.getvalue()


def of_host(states: Mapping[str, bytes], host: str, pillar: Mapping[str, Any]) -> Parcel:
    """Put together what one host gets."""
    files = {f"states/{path}": content for path, content in states.items()}
    return Parcel({**files, **pillar_files({host: pillar}), "run_states.py": RUNNER.read_bytes()})


def pillar_files(pillars: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Write pillars as a pillar tree: one SLS file a host, which nobody else gets."""
    top = as_sls({"base": {host: [host] for host in pillars}})
    files = {f"pillar/{host}.sls": as_sls(pillar).encode() for host, pillar in pillars.items()}
    return {"pillar/top.sls": top.encode(), **files}


def minion(environment: Environment, host: str) -> dict[str, Any]:
    """Give the configuration of Salt on a host, but for the places over there."""
    return {
        "id": host,
        "grains": {"environment": environment.name, "roles": sorted(environment.hosts[host].roles)},
        "file_client": "local",
        "fileserver_backend": ["roots"],
        "autoload_dynamic_modules": False,  # a second of every run, and these states bring no modules
        "enable_fqdns_grains": False,
        "enable_gpu_grains": False,
        "log_level_logfile": "warning",
        "state_output": "changes",
        "state_verbose": False,
    }
