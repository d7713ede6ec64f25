#!/usr/bin/python3
"""Save what HAProxy was told about its servers, for its next process: haproxy-keep-state BACKEND.

HAProxy forgets at a reload which servers are drained (haproxy#2085) unless it finds `show servers state` in its
server-state-file. That file has ports as well, and HAProxy believes an old port more than its configuration
(haproxy#1412): the ports are made the configuration's. Without a running HAProxy the file from last time stays.
"""

import os
import re
import socket
import sys
from pathlib import Path

SOCKET = "/run/haproxy/admin.sock"
CONFIGURATION = "/etc/haproxy/haproxy.cfg"
STATE = "/var/lib/haproxy/server-state"
EMPTY = "1\n"  # the version of the format, and no server (management guide, "show servers state")
BACKEND, SERVER, PORT = 1, 3, 18  # columns: be_name, srv_name, srv_port


def main(backend, path=SOCKET, configuration=CONFIGURATION, state=STATE):
    """Write the state file anew; leave it alone when nothing changes."""
    before = read(state)
    now = ask(path) or before or EMPTY
    text = with_ports(now, backend, ports(read(configuration), backend))
    if text != before:
        write(state, text)


def ask(path):
    """Ask HAProxy, when it is there, for the states of its servers.

    Raises: OSError when it is there and does not answer.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return ""
        connection.sendall(b"show servers state\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    if not answer.startswith("1\n"):
        raise OSError(f"{path}: expected the states of servers, got {answer[:80]!r}")
    return answer


def ports(configuration, backend):
    """Find the ports of a backend's servers in HAProxy's configuration."""
    section = re.search(rf"^backend {re.escape(backend)}\n((?:[ \t]+.*\n|\n)*)", configuration, re.MULTILINE)
    found = re.findall(r"^\s+server (\S+) \S+:(\d+)", section[1] if section else "", re.MULTILINE)
    return dict(found)


def with_ports(text, backend, wanted):
    """Put the ports of the configuration into the states, in the backends beside it as well: BACKEND.OTHER."""
    lines = []
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) > PORT and words[BACKEND].split(".")[0] == backend and words[SERVER] in wanted:
            words[PORT] = wanted[words[SERVER]]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def read(path):
    """Read a file; one that is not there is empty."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def write(path, text):
    """Replace a file, whole or not at all, whatever the power does."""
    aside = Path(f"{path}.new")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
