"""Runs `fab` again and again in forks of one process that has everything loaded; one may be in a trap.

So are the agents that a `fab` asks first: to start interpreters is most of what a rollout of next to nothing costs.
"""

import gc
import glob
import json
import os
import subprocess
import sys
import threading

import trap  # beside this file

HERE = os.getcwd()  # the site, whose code this is
sys.path[0] = HERE

import fabric.main  # noqa: E402

import deploy.agent.status  # noqa: E402
import deploy.tasks  # noqa: E402
from deploy import agents, carrying_out, demo, head_start, report_page, resuming, rollout, sessions, taking_up  # noqa: E402, F401
from deploy.agent import balancer, cli, commands, prune, receive, restoring, switch, verify  # noqa: E402, F401
from deploy.agent.supervisors import inside, listener, process, spawn, supervisor_of  # noqa: E402, F401

deploy.tasks.collection()
TAKES = ("abort", "deploy", "resume", "status")
ROUNDS = {"abort": 2, "resume": 2}  # how often a command connects: to look, and to do it


class Forked(subprocess.Popen):
    """An agent's process that nobody had to start."""

    def __init__(self, args, pid, stdin, stdout):
        self.args, self.pid, self.stdin, self.stdout, self.stderr = args, pid, stdin, stdout, None
        self.returncode, self._waitpid_lock, self._child_created = None, threading.Lock(), True


def agent(command):
    """Fork the agent of a host, as `sessions.begin` would start it."""
    (theirs, ours), (heard, said) = os.pipe(), os.pipe()
    stderr = os.fdopen(os.memfd_create("stderr"), "w+b")
    pid = os.fork()
    if pid:
        os.close(theirs)
        os.close(said)
        forked = Forked(command, pid, os.fdopen(ours, "wb"), os.fdopen(heard, "rb"))
        return sessions.Session(forked, stderr)
    status = 1
    try:
        os.setsid()
        for number, end in enumerate((theirs, said, stderr.fileno())):
            os.dup2(end, number)
        os.closerange(3, 1024)  # ends of other agents' pipes among them
        with open("/proc/self/comm", "w") as name:
            name.write("session")
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        environment = {**sessions.without_secrets(), "LC_ALL": "C.UTF-8"}
        os.environ.clear()
        os.environ.update(environment)
        place = next(word for word in command if word.endswith("/releasectl"))
        sys.argv = command[command.index(place) :]
        listener.myself = lambda: ([sys.executable, "-I", f"{place}.zip"], {})
        trap.spring(cli, os.path.dirname(place))
        status = cli.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def fork_agents(argv):
    """Have the agents there before `fab` asks for them, where their traps are set."""
    task = argv[0].partition(":")[0]
    hosts = sorted(place[: -len("/releasectl.zip")] for place in glob.glob(f"{HERE}/var/local/*/releasectl.zip"))
    for _ in range(ROUNDS.get(task, 1) if task in TAKES else 0):
        for host in hosts:
            name = ["--name", "feather"] if host.endswith("/lb") else []
            command = [sys.executable, "-I", f"{host}/releasectl", "--root", host, *name, "session"]
            head_start._begun.append((command, agent(command)))


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
    fork_agents(wanted["argv"])
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
        head_start.end()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


gc.freeze()  # what is there now is nobody's rubbish: forks share it for longer
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        child(json.loads(line))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(1, f"{status}\n".encode())
