"""The line to whoever asks: requests in, events and results out, payloads in between."""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Any

from deploy.agent.errors import BadRequest

if TYPE_CHECKING:
    from deploy.agent.receive import Payload

LONGEST = 64 << 20  # bytes of a request; a manifest of 2,300 files has 400,000


class Channel:
    """One conversation over a pair of byte streams."""

    def __init__(self, source: IO[bytes], target: IO[bytes], *, session: bool) -> None:
        self._source = source
        self._target = target
        self._session = session
        self._payload: Payload | None = None
        self._id: Any = None
        self.deaf = False  # nobody reads our answers any more

    def request(self) -> dict[str, Any] | None:
        """Read the next request; None at the end of the input.

        Raises: BadRequest bad-request.
        """
        self._id, self._payload = None, None
        line = self._source.readline(LONGEST)
        if not line:
            return None
        if len(line) >= LONGEST:
            raise BadRequest("request-too-long", f"a request is longer than {LONGEST} bytes")
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadRequest(
                "bad-request", f"the request is not JSON: {error}", expected="one object on one line"
            ) from None
        if not isinstance(found, dict):
            raise BadRequest("bad-request", "the request is not an object", expected='{"id": 1, "verb": "status"}')
        number = found.get("id")
        self._id = number if isinstance(number, (int, str)) else None
        return found

    def payload(self, length: int) -> Payload:
        """Give the bytes behind the request."""
        if self._payload is None:
            from deploy.agent.receive import Payload

            self._payload = Payload(self._source, length)
        return self._payload

    def skip_payload(self) -> None:
        """Read what a verb left of its payload, so that the next request is found."""
        if self._payload is not None:
            self._payload.skip()

    def emit(self, event: str, **fields: Any) -> None:
        """Send an event."""
        self._send({"event": event, **fields})

    def succeed(self, result: dict[str, Any]) -> None:
        """Send the result."""
        self._send({"ok": True, "result": result})

    def fail(self, error: dict[str, Any]) -> None:
        """Send an error."""
        self._send({"ok": False, "error": error})

    def _send(self, message: dict[str, Any]) -> None:
        if self.deaf:
            return
        numbered = {"id": self._id, **message} if self._id is not None else message
        try:
            self._target.write(json.dumps(numbered).encode() + b"\n")
            self._target.flush()
        except (BrokenPipeError, ConnectionResetError):
            # Half a switch is worse than a whole one: the verb goes on to its end, in silence.
            self.deaf = True

    def hung_up(self) -> bool:
        """Tell whether whoever asked is gone: nobody reads our output or, in a session, the input has ended."""
        import select

        poll = select.poll()
        poll.register(self._target.fileno(), 0)
        if self._session:
            poll.register(self._source.fileno(), select.POLLRDHUP)
        gone = select.POLLHUP | select.POLLERR | select.POLLRDHUP
        return self.deaf or any(event & gone for _, event in poll.poll(0))

    def abandon(self) -> None:
        """Keep the interpreter from complaining about a pipe that is closed."""
        if self.deaf:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._target.fileno())
