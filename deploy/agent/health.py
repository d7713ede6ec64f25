"""Ask a generation over its private socket: exactly 200 counts."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.agent.errors import NotServing

INTERVAL = 0.05  # seconds between two questions
TELL = 4.0  # seconds between two words to the operator while nothing changes
PATIENCE = 5.0  # seconds until a listener counts as busy
# Seconds that one answer may take while there is time left: more than an application needs to find out that whom it
# depends on, its database behind a link that is cut, does not answer, or nobody hears why it is not ready.
ANSWER = 10.0
BODY = 2000  # bytes of an answer that are shown
PAGE = 1 << 18  # bytes of a page that a text is looked for in
UNIX_PATH_MAX = 107  # bytes; sockaddr_un of Linux


class Answer(NamedTuple):
    """What a health check came to: a status, or why there is none."""

    status: int | None
    text: str


def reach(path: Path, use: Callable[[str], object]) -> None:
    """Call `use` with an address of a Unix socket path of any length: a long one goes through a descriptor."""
    if len(os.fsencode(path)) <= UNIX_PATH_MAX:
        use(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def ask(path: Path, url: str, host: str, timeout: float, body: int = BODY) -> Answer:
    """Send one GET over a private socket, with a deadline for the whole answer; keep so many bytes of its body."""
    return _ask(socket.AF_UNIX, lambda connection: reach(path, connection.connect), url, host, timeout, body)


def ask_address(address: str, url: str, host: str, timeout: float) -> Answer:
    """Send one GET to an address as HAProxy writes it, `10.0.0.21:8000` or `[::1]:8000`."""
    name, _, port = address.rpartition(":")
    family = socket.AF_INET6 if name.startswith("[") else socket.AF_INET
    place = name.strip("[]"), int(port)
    return _ask(family, lambda connection: connection.connect(place), url, host, timeout, BODY)


def refuses(path: Path) -> bool:
    """Tell whether nobody listens on a private socket: each process that did has closed it, and the shared one too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        try:
            reach(path, connection.connect)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:  # its backlog is full: somebody listens
            return False
    return False


def _ask(
    family: socket.AddressFamily,
    connect: Callable[[socket.socket], object],
    url: str,
    host: str,
    timeout: float,
    body: int,
) -> Answer:
    end = time.monotonic() + timeout
    request = f"GET {url} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: releasectl\r\nConnection: close\r\n\r\n"
    data, most = b"", body * 4
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout)
            connect(connection)
            connection.sendall(request.encode("ascii"))
            while len(data) < most:
                connection.settimeout(max(0.001, end - time.monotonic()))
                chunk = connection.recv(4096)
                if not chunk:
                    break
                data += chunk
        except (socket.timeout, TimeoutError):
            if not data:
                return Answer(None, f"no answer within {timeout:g} s")
        except OSError as error:
            return Answer(None, f"no answer: {error.strerror or error}")
    return understand(data, body)


def understand(data: bytes, most: int = BODY) -> Answer:
    """Read status and body of an HTTP answer, however odd."""
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not (words[1].isdigit() and len(words[1]) == 3):
        return Answer(None, f"not HTTP: {head[:80].decode('latin-1')!r}" if data else "the connection was closed")
    return Answer(int(words[1]), body[:most].decode("utf-8", "replace"))


def wait(
    path: Path, url: str, host: str, deadline: float, check_alive: Callable[[], None], say: Callable[[str], None]
) -> Answer:
    """Ask until the answer is 200.

    `deadline` is in seconds from now; `check_alive` raises when the process is gone; `say` is told of changes.

    Raises: NotServing not-ready when it answered otherwise to the end, timeout when it never answered.
    """
    end = time.monotonic() + deadline
    last = Answer(None, "not asked")
    told = time.monotonic()
    while True:
        answer = ask(path, url, host, max(0.05, min(ANSWER, end - time.monotonic())))
        if answer.status == 200:
            return answer
        check_alive()
        if (answer.status is not None and answer.status != last.status) or time.monotonic() - told > TELL:
            told = time.monotonic()
            say(f"{url}: {answer.status or answer.text}, {end - told:.0f} s left")
        if answer.status is not None or last.status is None:
            last = answer
        if time.monotonic() + INTERVAL >= end:
            break
        time.sleep(INTERVAL)
    if last.status is None:
        raise NotServing(
            "timeout", f"{url} did not answer within {deadline:g} s", expected="200", got=last.text,
            hint="see its log; if it only starts slowly, raise [tool.slipway.health] deadline",
        )  # fmt: skip
    raise NotServing(
        "not-ready", f"{url} did not answer 200 within {deadline:g} s", expected="200", got=str(last.status),
        status=last.status, body=last.text, detail=last.text or None, hint="the answer says why, and so may the log",
    )  # fmt: skip


def smoke(path: Path, pages: Iterable[Mapping[str, Any]], host: str, deadline: float) -> None:
    """Ask for each page of the contract's `smoke` once: a check that is green proves little of an app not its own.

    Raises: NotServing not-ready.
    """
    for page in pages:
        answer = ask(path, page["path"], host, deadline, PAGE)
        if answer.status != page["status"]:
            expected, got = str(page["status"]), str(answer.status or answer.text)
        elif page.get("text") and page["text"] not in answer.text:
            expected, got = repr(page["text"]), "a page without it"
        else:
            continue
        raise NotServing(
            "not-ready", f"{page['path']} is not as [tool.slipway] smoke wants it", expected=expected, got=got,
            status=answer.status, body=answer.text, hint="its log may say why; else mend `smoke`",
        )  # fmt: skip
