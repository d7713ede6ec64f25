"""Compile the states for canned servers, as `salt-call state.show_lowstate` would, and say what their files would.

A program of its own, under the bundle's Python path: Salt changes warnings, logging and more of a process that imports
it. Reads a job from standard input, {"roots", "scratch", "servers": {label: {"grains", "pillar"}}}, and answers
{label: {"low": [chunks], "files": {place: text}, "errors": [...]}}. A server with "sls" gets that one SLS file only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import salt.config
import salt.state


def options(job: dict[str, Any], server: dict[str, Any]) -> dict[str, Any]:
    """Give the options of a masterless minion that knows its grains already."""
    opts = salt.config.minion_config(None)
    opts.update(
        root_dir=job["scratch"], cachedir=f"{job['scratch']}/cache", pki_dir=f"{job['scratch']}/pki",
        extension_modules=f"{job['scratch']}/extmods", file_client="local", file_roots={"base": job["roots"]},
        autoload_dynamic_modules=False, id="minion", __role="minion", saltenv="base", grains=server["grains"],
    )  # fmt: skip
    return dict(opts)


def compile_states(job: dict[str, Any], server: dict[str, Any]) -> dict[str, Any]:
    """Compile one server's highstate, and render its files."""
    opts = options(job, server)
    opts["pillar"] = server["pillar"]
    high_state = salt.state.HighState(opts, initial_pillar=server["pillar"])
    low = high_state.compile_low_chunks() if "sls" not in server else compile_sls(high_state, server["sls"])
    if low and not isinstance(low[0], dict):
        return {"low": [], "files": {}, "errors": low}
    functions = high_state.state.functions
    files = {chunk["name"]: text(functions, chunk, server) for chunk in low if chunk["state"] == "file"}
    return {"low": low, "files": {place: said for place, said in files.items() if said is not None}, "errors": []}


def compile_sls(high_state: Any, sls: str) -> Any:
    """Compile one SLS file, as `state.apply SLS` would."""
    high, errors = high_state.render_highstate({"base": [sls]})
    low, more = high_state.state.compile_high_data(high)
    return [*errors, *more] or low


def text(functions: Any, chunk: dict[str, Any], server: dict[str, Any]) -> str | None:
    """Give the text of a file that a state writes; None when it writes none."""
    if chunk["fun"] != "managed":
        return None
    if "contents" in chunk:
        return str(chunk["contents"])
    if "contents_pillar" in chunk:
        value: Any = server["pillar"]
        for key in chunk["contents_pillar"].split(":"):
            value = value[key]
        return str(value) + ("\n" if chunk.get("contents_newline", True) else "")
    if "source" not in chunk:
        return None
    place = functions["cp.cache_file"](chunk["source"])
    if not place:
        raise SystemExit(f"{chunk['__id__']}: there is no {chunk['source']}")
    if "template" in chunk:
        words = {**chunk.get("defaults", {}), **chunk.get("context", {})}
        place = functions["cp.get_template"](chunk["source"], "", chunk["template"], **words)
    return Path(place).read_text(encoding="utf-8", errors="replace")


def main() -> None:
    """Answer one job."""
    job = json.load(sys.stdin)
    json.dump({label: compile_states(job, server) for label, server in job["servers"].items()}, sys.stdout)


if __name__ == "__main__":
    main()
