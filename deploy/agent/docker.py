"""Speak to the Docker engine of this server, over its socket: no program of Docker's is needed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deploy.agent.errors import AgentError
from deploy.agent.receive import Payload

if TYPE_CHECKING:
    from http.client import HTTPResponse

VARIABLE = "DOCKER_HOST"
USUAL = "unix:///run/docker.sock"
PATIENCE = 60.0  # seconds of silence
LOADING = 600.0
PING = 5.0
REMOVAL = 20.0  # seconds until a container that is going must be gone
TELL = 5.0  # seconds between two words while it takes its time
CHUNK = 1 << 20  # bytes of a refusal that are read
HINT = "is it running? systemctl status docker; the environment's artifact is image"


class Engine:
    """An engine; each call is a connection of its own."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get(VARIABLE) or USUAL

    @contextlib.contextmanager
    def ask(
        self,
        method: str,
        target: str,
        *,
        body: Any = None,
        length: int | None = None,
        timeout: float | None = PATIENCE,
        **query: Any,
    ) -> Iterator[HTTPResponse]:
        """Send a request, and give the answer to read; `body` is JSON, or with `length` a source of bytes.

        Raises: AgentError no-engine, engine-refused (with the engine's own words and `status`).
        """
        if not self.address.startswith("unix://"):
            raise AgentError("no-engine", f"{VARIABLE} is {self.address}", expected=USUAL)
        socket = self.address[len("unix://") :]
        if not os.path.exists(socket):  # most servers have no engine, and each `status` asks
            raise AgentError("no-engine", f"there is no Docker engine at {self.address}", hint=HINT)
        # Here: to load HTTP takes as long as all else that a `status` loads.
        from deploy.agent import engine_http

        connection = engine_http.Connection(socket, timeout)
        headers = {} if body is None else {"Content-Type": "application/json" if length is None else "application/tar"}
        data = body if body is None or length is not None else json.dumps(body).encode()
        if length is not None:
            headers["Content-Length"] = str(length)
        try:
            connection.request(method, engine_http.target(target, query), data, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise refused(f"{method} {target}", answer.status, answer.read(CHUNK))
            yield answer
        except (OSError, engine_http.HTTPException) as error:
            raise AgentError(
                "no-engine", f"the Docker engine does not answer at {self.address}: {error}", hint=HINT
            ) from None
        finally:
            connection.close()

    def call(
        self, method: str, target: str, *, body: Any = None, timeout: float | None = PATIENCE, **query: Any
    ) -> Any:
        """Carry out a request, and give what came as JSON; None when nothing did."""
        with self.ask(method, target, body=body, timeout=timeout, **query) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def find(self, target: str) -> Any:
        """Give what lies at a path; None when there is no such thing."""
        try:
            return self.call("GET", target)
        except AgentError as error:
            if error.fields.get("status") == 404:
                return None
            raise

    def image(self, identity: str) -> Mapping[str, Any] | None:
        """Describe an image that the engine has whole."""
        from deploy.agent.engine_http import quote

        found: Mapping[str, Any] | None = self.find(f"/images/{quote(identity)}/json")
        return found

    def answers(self) -> bool:
        """Tell whether there is an engine, and it answers us."""
        try:
            with self.ask("GET", "/_ping", timeout=PING):
                return True
        except AgentError:
            return False

    def has_image(self, identity: str) -> bool:
        """Tell whether the engine has an image; one that does not answer has none."""
        try:
            return self.image(identity) is not None
        except AgentError:
            return False

    def load(self, source: Payload, say: Callable[[str], None]) -> None:
        """Have the engine load an archive.

        Raises: AgentError engine-refused, when an archive lacks a layer that the engine lacks as well.
        """
        told = time.monotonic()
        with self.ask("POST", "/images/load", body=source, length=source.left, timeout=LOADING) as answer:
            for line in answer:
                said = json.loads(line)
                if "error" in said:
                    raise AgentError("engine-refused", f"the engine can't load the archive: {said['error']}")
                if time.monotonic() - told > TELL:
                    told = time.monotonic()
                    say("the engine unpacks the image")

    def remove(self, container: str) -> None:
        """Remove a container, running or not, and return when it is gone: its name is then free.

        Raises: AgentError no-engine, engine-refused.
        """
        end = time.monotonic() + REMOVAL
        while True:
            try:
                self.call("DELETE", f"/containers/{container}", force=1)
                return
            except AgentError as error:
                going = error.fields.get("status") == 409  # the engine is at it already
                if error.fields.get("status") != 404 and (not going or time.monotonic() > end):
                    raise
            if not going:
                return
            time.sleep(0.05)

    @contextlib.contextmanager
    def made(self, image: str) -> Iterator[str]:
        """Give a container of an image, never started, to read what is in it."""
        container = self.call("POST", "/containers/create", body={"Image": image, "NetworkDisabled": True})["Id"]
        try:
            yield container
        finally:
            self.remove(container)


def refused(what: str, status: int, data: bytes) -> AgentError:
    """Say what the engine has against it, in its own words."""
    try:
        said = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        said = data.decode("utf-8", "replace")[:300]
    return AgentError("engine-refused", f"the Docker engine refuses {what}: {said}", status=status)
