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

UNITS = Path("/etc/systemd/system"), Path("/usr/lib/systemd/system")
RUNS = ("active", "activating", "reloading")
STARTED, SETTLED = "InactiveExitTimestampMonotonic", "StateChangeTimestampMonotonic"
TICK = 0.02  # seconds: the kernel stamps files with its last tick, up to 10 ms ago, and systemd reads the real clock
LOADED = "UnitsLoadFinishTimestampMonotonic", "UnitsLoadTimestampMonotonic"  # systemd read its units at boot, and later


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
    done = daemon_reload(unit, test) + settle(unit, files["--restart"], files["--reload"], test)
    sys.stdout.write(f"changed={'yes' if done else 'no'} comment='{', '.join(done) or f'{unit} has read its files'}'\n")


def daemon_reload(unit, test):
    """Let systemd read the units that changed: the service, its socket, its instances, and their drop-ins."""
    # Not by NeedDaemonReload: it does not see a first drop-in, whose directory is new too (systemd 252, measured).
    stem = unit.rpartition(".")[0]
    kinds = ("", "-image", "-worker", "-worker-image", "-scheduler", "-scheduler-image")
    names = [unit, f"{stem}.socket", *(f"{stem}{kind}@.service" for kind in kinds)]
    files = [file for folder in UNITS for name in names for file in (folder / name, *folder.glob(f"{name}.d/*.conf"))]
    unread = newer(files, max(show(LOADED).values(), key=int))
    if unread and not test:
        systemctl("daemon-reload")
    return [f"systemd had not read {file}" for file in unread]


def settle(unit, restart, reload, test):
    """Restart or reload a unit that runs and has not read its files."""
    found = show(["ActiveState", STARTED, SETTLED], unit)
    if found["ActiveState"] not in RUNS:
        return []
    for files, since, verb in ((restart, STARTED, "restart"), (reload, SETTLED, "reload")):
        unread = newer(files, found[since])
        if unread:
            if not test:
                systemctl(verb, unit)
            return [f"{verb} of {unit} for {' and '.join(unread)}"]
    return []


def newer(files, since):
    """Give the files that were written after a moment, in microseconds of the monotonic clock."""
    then = time.time() - time.monotonic() + int(since) / 1e6 - TICK
    return [str(file) for file in map(Path, files) if file.exists() and file.stat().st_mtime > then]


def show(names, *units):
    """Ask systemd for properties of a unit, or of itself."""
    return dict(line.split("=", 1) for line in systemctl("show", f"--property={','.join(names)}", *units).splitlines())


def systemctl(*words):
    """Run systemctl; end with its own words when it fails."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
