"""What a person reads of a highstate: each change as it happens, then each server in a line, then what differs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.highstate.result import as_json, details, sentence
from deploy.highstate.run import Outcome
from deploy.secret import Secret, masked

PATIENCE = 15.0  # seconds that a state may take before one wants to know

Say = Callable[[str], None]


class Report:
    """Tell of a highstate; secrets have stars in their place."""

    def __init__(self, secrets: Iterable[Secret | None], say: Say, *, test: bool) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._say = say
        self._test = test
        self._lock = threading.Lock()
        self._begun: dict[str, tuple[str, float]] = {}  # host: the state it is at, and since when

    def mask(self, text: str) -> str:
        """Put stars in place of secrets."""
        return masked(text, self._secrets)

    def tell(self, host: str, event: Mapping[str, Any]) -> None:
        """Say what is worth a line: what changes, fails, or makes one wait."""
        if event["event"] == "begin":
            self._begun[host] = (event["id"], time.monotonic())
        elif event["event"] == "end":
            self._begun.pop(host, None)
        match event:
            case {"event": "hello", "salt": salt, "sent": sent}:
                text = f"{'Salt ' + salt + ' is installed' if salt else 'sent'} {sent / 1e6:.1f} MB"
                if not salt and sent < 1_000_000:
                    return
            case {"event": "note", "text": str(text)}:
                pass
            case {"event": "stopping"}:
                name, _ = self._begun.get(host, ("its first state", 0.0))
                text = f"stops after  {name}  (Ctrl-C again: at once)"
            case {"event": "end", "id": name, "result": False}:
                text = f"FAILED   {name}"
            case {"event": "end", "id": name, "changed": True} if not self._test:
                text = f"changed  {name}"
            case _:
                return
        self._line(host, text)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile, say where servers are that have been at one state for long: installing packages takes a while."""
        done = threading.Event()

        def watch() -> None:
            told: dict[str, float] = {}
            while not done.wait(1):
                for host, (name, since) in list(self._begun.items()):
                    lasted = time.monotonic() - since
                    if lasted >= PATIENCE and lasted >= 2 * told.get(f"{host} {name}", 0.0):
                        told[f"{host} {name}"] = lasted
                        self._line(host, f"...      {name}, {lasted:.0f} s")

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _line(self, host: str, text: str) -> None:
        with self._lock:
            self._say(f"  {host:<8} {self.mask(text)}")

    def summary(self, outcome: Outcome, fresh: Collection[str] = ()) -> None:
        """Say how each server is, then what changed; of a server that had nothing before, what failed alone."""
        for host, result in outcome.results.items():
            self._say(f"{host:<8} {sentence(result, test=self._test)}, {outcome.seconds[host]:.1f} s")
            for line in details(result, self.mask, test=self._test, failures_only=host in fresh and not self._test):
                self._say(line)
        for error in outcome.errors.values():
            self._say(self.mask(error.report()))

    def as_json(self, outcome: Outcome) -> dict[str, Any]:
        """Give all of it for a machine."""
        hosts = [
            {**as_json(result, self.mask), "seconds": round(outcome.seconds[host], 2)}
            for host, result in outcome.results.items()
        ]
        errors = [{"host": host, "message": self.mask(error.message)} for host, error in outcome.errors.items()]
        return {"exit": int(outcome.exit), "stopped": outcome.stopped, "hosts": hosts, "unreachable": errors}
