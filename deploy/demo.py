"""`make demo`: the main job, as its user types it, on the embedded environment.

It makes a second release out of the same checkout with one line changed, and does not touch the checkout for it: the
change is a commit that no branch names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from deploy import artifacts, contract, environment
from deploy.errors import Exit, SlipwayError
from deploy.prober import Prober
from deploy.tasks.common import ROOT, fab, say

ENVIRONMENT = "local"
CLIENTS, RATE = 16, 160.0  # keep-alive clients; requests a second, all together
CHANGED, LINE = "app/about.py", "\n# The release before this one: the same application with one line more.\n"


def main() -> int:
    """Build two releases, set the environment up, deploy the first, and roll out the second under traffic."""
    begun = time.monotonic()
    settings, terms = environment.read(ENVIRONMENT), contract.read(ROOT)
    say("Two releases: this checkout, and one before it that differs in a line.")
    second = _build(None)
    first = _build(_commit_with(CHANGED, LINE))
    _fab(f"bootstrap:{ENVIRONMENT}")
    _fab(f"deploy:{ENVIRONMENT}", "--version", first)
    say(f"\n{CLIENTS} keep-alive clients now send GET and POST through {settings.url} and never retry.")
    prober = Prober(settings.url, [p.as_request() for p in terms.probe], CLIENTS, RATE)
    time.sleep(1)
    _fab(f"deploy:{ENVIRONMENT}", "--version", second)
    time.sleep(1)
    summary = prober.stop()
    say(f"\nThe {CLIENTS} clients: {summary}")
    _fab(f"status:{ENVIRONMENT}")
    _show(settings.url)
    say(f"\nFrom a checkout to a served, rolled-out release in {time.monotonic() - begun:.0f} s: {settings.url}")
    say(f"  fab status:{ENVIRONMENT}     what runs where\n  fab rollback:{ENVIRONMENT}   back to the release before")
    say(f"  fab logs:{ENVIRONMENT}       what it logs\n  fab destroy:{ENVIRONMENT}    stop and remove it")
    return Exit.OK if summary and not summary.failed else Exit.FAILED_UNCHANGED


def _build(ref: str | None) -> str:
    begun = time.monotonic()
    release = artifacts.build_release(ROOT, ref, ROOT / "dist")
    say(f"  {release.path.relative_to(ROOT)}  {time.monotonic() - begun:.1f} s")
    return str(release.version)


def _commit_with(path: str, addition: str) -> str:
    """Make a commit beside HEAD whose `path` has a line more; no ref, no index and no file of the checkout changes."""
    content = _git("show", f"HEAD:{path}") + addition
    blob = _git("hash-object", "-w", "--stdin", given=content).strip()
    tree = _tree_with(path.split("/"), blob, "HEAD")
    parents = _git("rev-list", "--parents", "-n1", "HEAD").split()[1:2]
    date = f"{_git('show', '-s', '--format=%ct', 'HEAD').strip()} +0000"
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "demo"), ("EMAIL", "demo@localhost"), ("DATE", date))
    }
    arguments = [word for parent in parents for word in ("-p", parent)]
    return _git("commit-tree", tree, *arguments, "-m", "The release before", environment=identity).strip()


def _tree_with(parts: list[str], blob: str, treeish: str) -> str:
    """Write a tree like `treeish` in which the file at `parts` is `blob`."""
    name, *rest = parts
    rows = []
    for row in _git("ls-tree", treeish).splitlines():
        head, _, entry = row.partition("\t")
        mode, kind, sha = head.split()
        if entry == name:
            sha = _tree_with(rest, blob, sha) if rest else blob
        rows.append(f"{mode} {kind} {sha}\t{entry}")
    return _git("mktree", given="\n".join(rows) + "\n").strip()


def _git(*arguments: str, given: str | None = None, environment: dict[str, str] | None = None) -> str:
    import os

    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise SlipwayError(
            f"git {arguments[0]}: {done.stderr.strip()}", hint="the demo needs a git checkout with a commit"
        )
    return done.stdout


def _fab(*arguments: str) -> None:
    """Run a task as a person would, shown as a person would type it."""
    say(f"\n$ {fab()} {' '.join(arguments)}")
    done = subprocess.run([Path(sys.prefix) / "bin" / "fab", *arguments], cwd=ROOT, check=False)
    if done.returncode not in (Exit.OK, Exit.NOTHING_TO_DO):
        raise SystemExit(done.returncode)


def _show(url: str) -> None:
    """Ask the application something, through the load balancer."""
    path = "/api/v1/places?q=lisb&limit=1"
    with urllib.request.urlopen(url + path, timeout=10) as answer:  # noqa: S310  (our own load balancer)
        say(f"\n$ curl '{url}{path}'\n{json.dumps(json.load(answer), ensure_ascii=False)[:240]}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SlipwayError as error:
        say(f"slipway: {error.report()}")
        sys.exit(error.exit_code)
