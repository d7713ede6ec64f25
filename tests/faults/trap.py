"""Kill a deployer or an agent at one effect, named so that the same effect is met again in the next rollout.

An audit hook (PEP 578) hears of every effect before it happens. Runs inside of what is killed: standard library only.
"""

import json
import os
import re
import signal
import sys
from collections import Counter

EFFECTS = {
    "os.chmod", "os.fork", "os.kill", "os.killpg", "os.link", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename",
    "os.rmdir", "os.symlink", "os.truncate", "os.utime", "socket.bind", "subprocess.Popen",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
OFTEN = 3  # how many of the same kind are told apart: what polls does the same again and again


class Trap:
    """Writes down every effect (`trace`), or ends at one of them (`at`), alone or with its deployer (`both`)."""

    def __init__(self, who, root, sprung, trace=None, at=None, both=False):
        self.who, self.root, self.sprung, self.trace, self.at, self.both = who, root, sprung, trace, at, both
        self.doing, self.me, self.seen = "start", os.getpid(), Counter()
        if trace or at:
            sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        """Take note of an effect of this process; not of its children."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & WRITING:
                self.effect("open", path) if flags & os.O_EXCL or not flags & os.O_DIRECTORY else None
        elif event == "socket.connect" and isinstance(arguments[1], (str, bytes)):
            self.effect("connect", "") if "set server" in self.doing else None
        elif event in EFFECTS:
            paths = [a for a in arguments if isinstance(a, (str, bytes)) and a]
            if not without_effect(event, paths):
                self.effect(event, *paths[-1:])  # of a link or a rename, where it leads to

    def effect(self, event, path=""):
        """End here, if this is the one; write it down otherwise."""
        path = os.fsdecode(path)
        if os.getpid() != self.me or (path.startswith("/") and not path.startswith(self.root)):
            return
        name = re.sub(r"store/../\w+", "store/N", path[len(self.root) :] if path.startswith("/") else path)
        self.point(f"{event} {re.sub('-[0-9a-f]{4}[.]|[0-9]+', 'N', name)}")

    def point(self, what):
        """Come by something that has a name."""
        key = f"{self.who} {self.doing} | {what}"
        self.seen[key] += 1
        if self.seen[key] > OFTEN:
            return
        key += f" {self.seen[key]}"
        if key == self.at and not os.path.exists(self.sprung):
            self.me = 0
            os.close(os.open(self.sprung, os.O_WRONLY | os.O_CREAT, 0o600))
            if self.both:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trace:
            at, self.me = self.me, 0  # what writes it down is no effect
            with open(self.trace, "a") as file:
                file.write(key + "\n")
            self.me = at


def without_effect(event, paths):
    """Tell what is done to make sure only: a folder that is there, a file that is not."""
    path = os.fsdecode(paths[0]) if paths else ""
    if not path.startswith("/"):
        return False
    return (event == "os.mkdir" and os.path.isdir(path)) or (event == "os.remove" and not os.path.lexists(path))


def label(verb, request):
    """Name a request by what it changes; empty for one that only looks."""
    if verb == "balancer":
        commands = [c for c in request.get("commands", ()) if c.startswith(("set ", "add ", "clear "))]
        return f"balancer {' '.join(commands)}" if commands else ""
    if verb == "ledger":
        written = [f"{e.get('kind')} {e.get('phase')}" for e in request.get("append", ())]
        return f"ledger {' '.join(written)}" if written else ""
    if verb == "lease":
        return f"lease {request.get('action')}" if request.get("action") != "show" else ""
    return verb if verb not in ("status", "missing", "manifest", "variables", "backups", "logs") else ""


def of(who, root, place):
    """Read what the driver wants of this process."""
    try:
        with open(place) as file:
            wanted = json.load(file)
    except FileNotFoundError:
        wanted = {}
    at = wanted.get("at")
    mine = at if at and at.startswith(f"{who} ") else None
    return Trap(
        who, root, os.path.join(os.path.dirname(place), "sprung"), wanted.get("trace"), mine, wanted.get("both")
    )


def spring(cli, root):
    """Let a session's agent die where the driver wants it; beginning and end of a request are places as well."""
    the_trap = of(os.path.basename(root), root, os.path.join(root, "..", "trap.json"))
    answer = cli.answer

    def trapped(layout, channel, request):
        the_trap.doing = label(request.get("verb"), request)
        if not the_trap.doing:
            return answer(layout, channel, request)
        the_trap.seen.clear()
        the_trap.point("begin")
        try:
            return answer(layout, channel, request)
        finally:
            the_trap.point("end")
            the_trap.doing = "between"

    cli.answer = trapped
