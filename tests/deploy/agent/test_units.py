"""The units that ship are what the agent relies on: docs/reference/agent.md, "Units under systemd"."""

from __future__ import annotations

import pytest

from deploy.artifacts.units import render
from tests.support.contracts import minimal

WORKER = '[tool.slipway.processes.worker]\ncommand = ["-m", "app", "worker"]\n'
NEEDED = {
    "sample.socket": {
        "Service=sample.service": "traffic would start something else than the umbrella",
        "Backlog=2048": "the queue is what bridges a switch",
    },
    "sample@.service": {
        "ExecStart=/usr/lib/sample/releasectl --name sample exec %i": "the agent becomes gunicorn",
        "Type=notify": "systemd has to know when it is loaded",
        "NotifyAccess=all": "whichever process of gunicorn says READY",
        "KillMode=mixed": "TERM is for the master alone, or requests in flight are cut",
        "Sockets=sample.socket": "the listening socket is inherited",
        "User=sample": "not root",
        "LoadCredential=meta.json:/opt/sample/generations/%i/meta.json": "`exec` reads release and variables there",
        "LoadCredential=sample:/opt/sample/generations/%i/credentials": "X_FILE names a file made of this",
        "RuntimeDirectory=sample": "the private socket is bound there",
        "RuntimeDirectoryPreserve=yes": "or the generation that leaves removes the sockets of the one that stays",
        "StateDirectory=sample/state": "HOME and working directory",
        "StartLimitIntervalSec=0": "a limit that is hit stops the socket as well: systemd's socket_trigger_notify()",
        "UMask=0077": "nobody else may connect to the private socket",
    },
    "sample-worker@.service": {
        "ExecStart=/usr/lib/sample/releasectl --name sample exec %i worker": "the agent becomes the worker",
        "Type=notify": "active means that it can take jobs",
        "KillMode=mixed": "TERM is for the first process alone, or jobs in hand are cut",
        "User=sample": "not root",
        "LoadCredential=meta.json:/opt/sample/generations/%i/meta.json": "`exec` reads release and variables there",
        "LoadCredential=sample:/opt/sample/generations/%i/credentials": "X_FILE names a file made of this",
        "RuntimeDirectoryPreserve=yes": "or the one that leaves removes the sockets of the web server",
        "PartOf=sample.service": "stopping the app stops it too",
        "TimeoutStopSec=75": "longer than jobs in hand may take, and the agent's own patience",
    },
    "sample-worker-image@.service": {
        "ExecStart=/usr/lib/sample/releasectl --name sample exec %i worker": "the agent has the engine run the worker",
        "ExecStopPost=/usr/lib/sample/releasectl --name sample exec %i clear worker": "its container, not the web's",
        "Type=notify": "the agent passes the worker's own word on",
        "NotifyAccess=main": "nobody else's word counts",
        "KillMode=mixed": "TERM is for the agent, which passes it on",
        "PartOf=sample.service": "stopping the app stops it too",
        "TimeoutStopSec=75": "longer than jobs in hand may take, and the agent's own patience",
    },
    "sample.service": {
        "Type=oneshot": "it starts something and ends",
        "RemainAfterExit=yes": "while it is active, traffic starts nothing",
        "ExecStart=/usr/lib/sample/releasectl --name sample start-current": "a reboot brings back what is current",
        "WantedBy=multi-user.target": "it is started at boot",
    },
}


@pytest.mark.parametrize(("unit", "line"), [(unit, line) for unit, lines in NEEDED.items() for line in lines])
def test_a_unit_has_what_the_agent_relies_on(unit: str, line: str) -> None:
    rendered = {path.rpartition("/")[2]: text for path, text in render(minimal(WORKER)).items()}
    lines = rendered[unit].splitlines()
    key = line.partition("=")[0]
    found = [given for given in lines if given.startswith(f"{key}=")]
    assert line in lines, f"{unit}: expected {line} ({NEEDED[unit][line]}), got {found or 'nothing'}"


def test_the_variables_reach_the_process_by_the_agent_alone() -> None:
    """What systemd put into the environment would be there for every child, beside what is documented."""
    rendered = {path.rpartition("/")[2]: text for path, text in render(minimal(WORKER)).items()}
    for unit in ("sample@.service", "sample-worker@.service"):
        assert "\nEnvironment" not in rendered[unit], "exec takes the variables out of meta.json"


def test_an_app_without_workers_has_no_unit_for_them() -> None:
    assert not [path for path in render(minimal()) if "worker" in path]


def test_a_worker_is_as_confined_as_the_web_server() -> None:
    rendered = {path.rpartition("/")[2]: text for path, text in render(minimal(WORKER)).items()}
    marker = "# What the app can't do."
    web, worker = (rendered[unit].partition(marker)[2] for unit in ("sample@.service", "sample-worker@.service"))
    assert worker.replace("sample-worker@", "sample@") == web
