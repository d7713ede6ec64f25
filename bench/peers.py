"""The same job by Slipway, tuned Ansible, pyinfra and a floor written by hand: to three hosts, one after another.

    make bench-peers            # or, as root: .venv/bin/python bench/peers.py --rounds 5 --delay 50

The job (bench/job): a tiny Flask application behind HAProxy. Bring the release and the variables to each host; then,
host after host: out of the load balancer, wait until idle, restart, wait for 200, back into service. Each contender
does it onto empty hosts, then with one changed line, then once more with nothing to do; hosts are set up beforehand,
and all connections are made anew each time. After each run the bench asks through HAProxy whether all three hosts serve
what they shall. In a first round, not counted, they do it under traffic, and the bench counts lost requests.

Peers do it from wheels (a virtual environment and pip on each host) and given the same prebuilt tree as Slipway; and
each of these as usually written, host after host, and lean: one question first, and only what has to change. Contenders
take turns within each round: quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: packaging.py there would be taken for the distribution

from bench import ground as grounds  # noqa: E402  (this script runs from anywhere)
from bench.ground import Edition, Ground  # noqa: E402
from bench.rivals import NAMES, Rival, Spent, install, rivals  # noqa: E402
from deploy.fleet import machines  # noqa: E402
from deploy.prober import Prober  # noqa: E402

ACTS = ("cold", "new version", "no-op")
GOALS = (  # the act; ours, theirs; what their ratio shall be: at most (ours / theirs), or at least (theirs / ours)
    ("no-op", "floor", "at most", 1.5),
    ("new version", "floor", "at most", 1.25),
    ("no-op", "ansible, wheel", "at least", 25),
    ("no-op", "pyinfra, wheel", "at least", 8),
    ("new version", "ansible, wheel", "at least", 8),
    ("new version", "pyinfra, wheel", "at least", 4),
    ("no-op", "ansible, tree", "at least", 9),
    ("no-op", "pyinfra, tree", "at least", 4),
    ("new version", "ansible, tree", "at least", 4),
    ("new version", "pyinfra, tree", "at least", 2),
)
MORE = """\
What Slipway does beside the job: it takes a lease on all hosts and writes a ledger there; boots the release on each
host on trial before anything is drained; starts the new generation before the old one leaves; waits until HAProxy's own
check has passed; verifies each file's hash; sends requests through the load balancer all the time; writes a report.
It does not bake here."""

Found = dict[tuple[str, str], list[Spent]]


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Do the same job with Slipway and its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.0, help="round-trip time of the hosts' links, in milliseconds")
    parser.add_argument("--only", default="", help="names of contenders, separated by semicolons")
    parser.add_argument("--no-warm-up", action="store_true", help="leave the round under traffic out")
    options = parser.parse_args()
    wanted = [name.strip() for name in options.only.split(";") if name.strip()]
    if unknown := sorted(set(wanted) - set(NAMES)):
        parser.error(f"--only: there is no {', '.join(unknown)}; expected some of: {'; '.join(NAMES)}")
    versions = install()
    with (
        tempfile.TemporaryDirectory(prefix="slb-", dir="/tmp") as scratch,  # short: sockets lie in it
        machines.fleet(print, packages=grounds.PACKAGES) as fleet,
    ):
        ground = Ground(fleet, Path(scratch))
        chosen = {name: rival for name, rival in rivals(ground).items() if not wanted or name in wanted}
        lost = {} if options.no_warm_up else {name: warm_up(ground, rival) for name, rival in chosen.items()}
        found: Found = {}
        loads = []
        with suppress(KeyboardInterrupt):  # then what there is by now is the result
            for _ in range(options.rounds):
                loads.append(os.getloadavg()[0])
                for rival in chosen.values():
                    for act, spent in turn(ground, rival, options.delay / 2000).items():
                        found.setdefault((rival.name, act), []).append(spent)
                        print(f"  {rival.name}, {act}: {spent.clock:.2f} s", file=sys.stderr)
    print(
        f"{time.strftime('%Y-%m-%d')}; {versions}; round-trip time {options.delay:g} ms; {os.cpu_count()} processors,"
    )
    print(f"load average when each round began: {', '.join(f'{load:.1f}' for load in loads)}\n")
    report(found, list(chosen), lost)
    return 0


def turn(ground: Ground, rival: Rival, delay: float) -> dict[str, Spent]:
    """Let one contender do the job onto empty hosts, with a new version, and with nothing to do."""
    first, second = ground.edition(), ground.edition()
    ground.reset(delay)
    spent = {}
    for act, edition in zip(ACTS, (first, second, second), strict=True):
        use = _checked_out(ground, edition)
        spent[act] = rival.run(ground, use)
    return spent


def _checked_out(ground: Ground, edition: Edition) -> Edition:
    """Have the checkout be at an edition: `fab deploy` takes that one by itself."""
    grounds.run("git", "checkout", "--quiet", "--detach", edition.commit, cwd=ground.path)
    return edition


def warm_up(ground: Ground, rival: Rival) -> str:
    """Let a contender do the job under traffic; say how many requests were lost while it changed versions."""
    first, second = ground.edition(), ground.edition()
    ground.reset()
    rival.run(ground, _checked_out(ground, first))
    _checked_out(ground, second)
    with ExitStack() as stack:
        prober = Prober(f"http://{ground.address['lb1']}", [{"path": "/"}], clients=8, rate=80)
        stack.callback(prober.stop)
        rival.run(ground, second)
        stack.pop_all()
        summary = prober.stop()
    assert summary
    return f"{summary.failed} of {summary.requests}"


def report(found: Found, names: list[str], lost: dict[str, str]) -> None:
    """Print the medians, their ratios to Slipway, and the goals."""
    print(f"{'':<21}{'':<13}{'s':>7}{'(least, most)':>18}{'/ slipway':>11}{'CPU here':>10}{'a web host':>12}{'lb1':>7}")
    for act in ACTS:
        for name in names:
            runs = found.get((name, act), [])
            if not runs:
                continue
            clock, ratio = _median(runs, lambda r: r.clock), f"{ratio_of(found, act, name, 'slipway'):.2f}"
            web = statistics.median(statistics.mean(r.there[host] for host in grounds.WEB) for r in runs)
            spread = f"({min(r.clock for r in runs):.2f}, {max(r.clock for r in runs):.2f})"
            here, lb = _median(runs, lambda r: r.here), _median(runs, lambda r: r.there["lb1"])
            print(f"{name:<21}{act:<13}{clock:>7.2f}{spread:>18}{ratio:>11}{here:>10.2f}{web:>12.2f}{lb:>7.2f}")
        print()
    for name, said in lost.items():
        print(f"{name}: {said} requests were lost during a change of version under traffic")
    print(f"\n{MORE}\n")
    for act, theirs, how, wanted in GOALS:
        ours = how == "at most"
        ratio = ratio_of(found, act, *(("slipway", theirs) if ours else (theirs, "slipway")))
        met = ratio <= wanted if ours else ratio >= wanted
        said = f"slipway / {theirs}" if ours else f"{theirs} / slipway"
        if not math.isnan(ratio):  # as it is when one of them was left out
            print(f"{'met   ' if met else 'MISSED'} {act:<12} {said:<26} {ratio:6.2f}   goal: {how} {wanted:g}")


def ratio_of(found: Found, act: str, one: str, other: str) -> float:
    """Give the median of the rounds' ratios: both sides of each had the same neighbours. NaN without any."""
    pairs = zip(found.get((one, act), []), found.get((other, act), []), strict=False)
    ratios = [ours.clock / theirs.clock for ours, theirs in pairs]
    return statistics.median(ratios) if ratios else math.nan


def _median(runs: list[Spent], of: Callable[[Spent], float]) -> float:
    return statistics.median(map(of, runs)) if runs else 0.0


if __name__ == "__main__":
    if os.geteuid() or not shutil.which("systemd-nspawn") or not shutil.which("rsync"):
        raise SystemExit("root, systemd-nspawn and rsync are needed: packaging/workstation.sh machines")
    raise SystemExit(main())
