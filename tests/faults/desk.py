"""Runs `fab` again and again in forks of one process that has everything loaded; one may be in a trap."""

import json
import os
import sys

import trap  # beside this file

HERE = os.getcwd()  # the site, whose code this is
sys.path[0] = HERE

import fabric.main  # noqa: E402

import deploy.tasks  # noqa: E402
from deploy import agents, carrying_out, demo, report_page, resuming, rollout, taking_up  # noqa: E402, F401

deploy.tasks.collection()


def spring(wanted):
    """Set the trap, at every request."""
    the_trap = trap.Trap("operator", HERE, f"{HERE}/var/local/sprung", wanted.get("trace"), wanted.get("at"))
    send = agents.Agent._send

    def trapped(self, verb, arguments, payload=()):
        what = trap.label(verb, arguments)
        if what:
            the_trap.point(f"before {self.host} {what}")
        send(self, verb, arguments, payload)
        if what:
            the_trap.point(f"sent {self.host} {what}")

    agents.Agent._send = trapped


def child(wanted):
    """Be `fab`."""
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(wanted[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    if wanted.get("trap"):
        spring(wanted["trap"])
    sys.argv = ["fab", *wanted["argv"]]
    status = 1
    try:
        fabric.main.program.run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        child(json.loads(line))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(1, f"{status}\n".encode())
