#!/usr/bin/python3 -IS
"""See that a service has read its unit and its files: settle UNIT [--reload FILE...] [--restart FILE...] [--test]

Salt's own `watch` and `onchanges` act in the run that changes a file. A run that is killed before it acts is followed
by one that finds the file right and does nothing: the service goes on with what it read before. So this compares times:
a file that is newer than the last reload (or start) has not been read. With --test it says what it would do.

The last line is for Salt (cmd.run, stateful): changed=yes or no, and why.
"""

import subprocess
import sys
import time
from pathlib import Path

SHOWN = ("Id", "ActiveState", "NeedDaemonReload", "InactiveExitTimestampMonotonic", "StateChangeTimestampMonotonic")


def main(words):
    """Settle one unit; give the exit status."""
    test = "--test" in words
    unit, *rest = [word for word in words if word != "--test"]
    files = {"--reload": [], "--restart": []}
    for word in rest:
        if word in files:
            chosen = files[word]
        else:
            chosen.append(word)
    stem = unit.rpartition(".")[0]
    units = show(unit, f"{stem}.socket", f"{stem}@*.service")
    done = daemon_reload(units, test)
    done += settle(units[0], files["--restart"], files["--reload"], test)
    sys.stdout.write(f"changed={'yes' if done else 'no'} comment='{', '.join(done) or f'{unit} has read its files'}'\n")


def daemon_reload(units, test):
    """Let systemd read the units that changed: the service, its socket, its instances."""
    stale = sorted(each["Id"] for each in units if each["NeedDaemonReload"] == "yes")
    if stale and not test:
        systemctl("daemon-reload")
    return [f"systemd had not read {each}" for each in stale]


def settle(found, restart, reload, test):
    """Restart or reload a unit that runs and has not read its files."""
    unit = found["Id"]
    if found["ActiveState"] not in ("active", "activating", "reloading"):
        return []
    for files, since, verb in (
        (restart, found["InactiveExitTimestampMonotonic"], "restart"),
        (reload, found["StateChangeTimestampMonotonic"], "reload"),
    ):
        unread = newer(files, int(since) / 1e6)
        if unread:
            if not test:
                systemctl(verb, unit)
            return [f"{verb} of {unit} for {' and '.join(unread)}"]
    return []


def newer(files, since):
    """Give the files that were written after a moment of the monotonic clock."""
    then = time.time() - time.monotonic() + since
    return [file for file in files if Path(file).exists() and Path(file).stat().st_mtime > then]


def show(*units):
    """Ask systemd for the properties of units; those that match a pattern, and are loaded, too."""
    text = systemctl("show", f"--property={','.join(SHOWN)}", *units)
    return [dict(line.split("=", 1) for line in part.splitlines()) for part in text.strip().split("\n\n") if part]


def systemctl(*words):
    """Run systemctl; end with its own words when it fails."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
