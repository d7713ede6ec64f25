"""Commands: check --env-file FILE, migrate REVISION, rehearse REVISION, replay, seed, revision, worker."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kiosk import database, settings, worker


def main(words: list[str]) -> int:
    """Carry out a command; give the exit status."""
    if words[:2] == ["check", "--env-file"]:
        pairs = [line.partition("=") for line in Path(words[2]).read_text().splitlines()]
        wrong = settings.problems({name: json.loads(value) for name, _, value in pairs})
        sys.stdout.write(json.dumps({"ok": not wrong, "errors": wrong}))
        return int(bool(wrong))
    if words == ["revision"]:
        sys.stdout.write(f"{database.revision()}\n")
        return 0
    if words[:1] == ["migrate"] and len(words) == 2:
        database.migrate(words[1])
        return 0
    if words[:1] == ["rehearse"] and len(words) == 2:
        database.rehearse(words[1])
        return 0
    if words == ["replay"]:
        sys.stdout.write(f"{json.dumps(database.replay())}\n")
        return 0
    if words == ["seed"]:
        database.seed()
        return 0
    if words == ["worker"]:
        return worker.main()
    sys.stderr.write("No such command\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
