"""Carry out requests to the agent of this server: how the operator's rollout speaks with hosts by a salt-master.

A request comes sealed for this minion alone: what a master publishes is read by every minion and kept in its job cache,
and some requests hold secrets. `salt '*' saltutil.sync_modules` brings this module to minions.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import zlib

import salt.crypt

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LAST = 2000  # characters of what the agent said beside its answer


def call(letters):
    """Carry out the requests that are sealed for this minion; give what the agent answered, line by line.

    letters: {minion's id: {"key", and "sealed" or "file"}}
    """
    scratch = tempfile.mkdtemp(prefix="slipway-release-")
    try:
        order = json.loads(_open(letters[__opts__["id"]], scratch))  # noqa: F821
        payload = _fetch(order["payload"], scratch) if order["payload"] else None
        program = f"/usr/lib/{order['name']}/releasectl"
        if not NAME.fullmatch(order["name"]) or not os.path.exists(program):  # noqa: PTH110
            return {"lines": [], "status": 127, "said": program}
        lines = []
        for request in order["requests"]:
            answer = _ask([program, "--name", order["name"], request["verb"]], request, payload)
            lines += answer["lines"]
            if answer["status"] and '"ok"' not in "".join(answer["lines"][-1:]):
                break  # it gave no answer: whoever asked has to know before anything else is done
        return {**answer, "lines": lines}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _open(letter, scratch):
    """Unseal a letter with this minion's own key."""
    own = salt.crypt.PrivateKey.from_file(os.path.join(__opts__["pki_dir"], "minion.pem"))  # noqa: F821, PTH118
    key = own.decrypt(base64.b64decode(letter["key"])).decode()
    if "file" in letter:
        with open(_fetch(letter["file"], scratch), "rb") as file:  # noqa: PTH123
            sealed = file.read()
    else:
        sealed = base64.b64decode(letter["sealed"])
    return zlib.decompress(salt.crypt.Crypticle(__opts__, key).decrypt(sealed))  # noqa: F821


def _fetch(url, scratch):
    """Get a file from the master; give its path."""
    path = __salt__["cp.get_file"](url, os.path.join(scratch, url.rpartition("/")[2]))  # noqa: F821, PTH118
    if not path:
        raise OSError(f"the master has no {url}")
    return path


def _ask(command, request, payload):
    """Call the agent once. Its input is written whole before its output is read: that goes to a file."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        agent = subprocess.Popen(
            command,
            stdin=subprocess.PIPE, stdout=out, stderr=err, env=ENVIRONMENT, cwd="/",
        )  # fmt: skip
        try:
            agent.stdin.write(json.dumps(request).encode() + b"\n")
            if payload:
                with open(payload, "rb") as file:  # noqa: PTH123
                    shutil.copyfileobj(file, agent.stdin, 1 << 20)
            agent.stdin.close()
        except BrokenPipeError:
            pass  # it refused before it had read everything, and says why
        status = agent.wait()
        out.seek(0)
        err.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
        return {"lines": lines, "status": status, "said": err.read().decode(errors="replace")[-LAST:]}
