"""What runs on the salt-master for the operator: it takes requests for agents, and hands them to minions.

Sent over SSH and run by Salt's own Python, 3.9 or later. One JSON line a request, for any host; answers come as they
are there, each behind the number of its session. All requests that wait at the same moment are published as one job,
each sealed with the key of its minion (salt/_modules/release.py).
"""

from __future__ import annotations

import base64
import json
import os
import queue
import secrets
import socket
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from deploy.salted.book import Book, Request, batch, understand

FOLDER = "slipway-relay"  # below the first of the master's file roots
INLINE = 16_000  # bytes of a sealed request that are published; every minion hears those. Longer ones are files
DAY = 86400.0
GATHER = 0.005  # seconds in which requests join one that is about to be published
PATIENCE = 8.0  # seconds to let requests end when the operator has gone
CONNECT = 10  # seconds
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where a master that listens there is found)
FIND = "saltutil.running"


class Master:
    """The salt-master of this computer."""

    def __init__(self, config: str) -> None:
        import salt.client

        self._config = config
        self.client = salt.client.LocalClient(c_path=config)
        self.opts = self.client.opts
        roots = (self.opts.get("file_roots") or {}).get("base") or []
        if not roots or not Path(roots[0]).is_dir():
            raise OSError(f"{config}: expected file_roots with a folder that exists for base, got {roots}")
        self.folder = Path(roots[0], FOLDER)

    def prepare(self) -> None:
        """Make the folder for what minions fetch; forget what a relay that was killed left.

        Raises: OSError when the master does not run: Salt itself would try for minutes.
        """
        address = EVERYWHERE.get(self.opts["interface"], self.opts["interface"])
        try:
            socket.create_connection((address, self.opts["ret_port"]), timeout=CONNECT).close()
        except OSError as error:
            raise OSError(f"nothing answers on its port {self.opts['ret_port']}: {error}") from None
        self.folder.mkdir(mode=0o700, exist_ok=True)
        owner = Path(self.opts["pki_dir"]).stat()
        os.chown(self.folder, owner.st_uid, owner.st_gid)
        for path in self.folder.iterdir():
            if time.time() - path.stat().st_mtime > DAY:
                path.unlink()

    def keep(self, path: Path) -> None:
        """Let the master read a file that is not for others."""
        owner = self.folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def events(self) -> Any:
        """Listen to the master."""
        import salt.utils.event

        return salt.utils.event.get_event("master", sock_dir=self.opts["sock_dir"], opts=self.opts, listen=True)

    def job(self) -> str:
        """Make a number for a job."""
        import salt.utils.jid

        return str(salt.utils.jid.gen_jid(self.opts))

    def publish(self, hosts: list[str], function: str, arguments: list[Any], job: str) -> set[str]:
        """Publish a job; name the minions that the master knows."""
        done = self.client.run_job(hosts, function, arguments, tgt_type="list", jid=job, listen=False)
        return set(done.get("minions") or [])

    def seal(self, host: str, text: bytes) -> tuple[dict[str, str], Path | None]:
        """Seal a request so that one minion alone can read it; give the file, where it is long."""
        import salt.crypt

        key = salt.crypt.Crypticle.generate_key_string()
        public = salt.crypt.PublicKey.from_file(str(Path(self.opts["pki_dir"], "minions", host)))
        letter = {"key": base64.b64encode(public.encrypt(key.encode())).decode()}
        sealed = salt.crypt.Crypticle(self.opts, key).encrypt(zlib.compress(text, 1))
        if len(sealed) <= INLINE:
            return {**letter, "sealed": base64.b64encode(sealed).decode()}, None
        path = self.folder / secrets.token_hex(16)
        path.write_bytes(sealed)
        self.keep(path)
        return {**letter, "file": f"salt://{FOLDER}/{path.name}"}, path

    def knows(self, host: str) -> bool:
        """Tell whether the key of a minion was accepted."""
        return Path(self.opts["pki_dir"], "minions", host).is_file()


class Relay:
    """Three threads: one reads what the operator asks, one publishes, one hears what minions return."""

    def __init__(self, master: Master, name: str, silence: float, source: BinaryIO, target: BinaryIO) -> None:
        self.master, self.name = master, name
        self.source, self.target = source, target
        self.book = Book(silence)
        self.lock = threading.RLock()  # of the book and the output
        self.ready: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.looks: dict[str, float] = {}  # jobs that look at minions, and when they began
        self.sealed: dict[tuple[str, str], Path] = {}
        self.files: set[Path] = set()

    def serve(self) -> None:
        """Work until the operator has gone, and what was asked is done."""
        heard = threading.Event()
        threading.Thread(target=self.guard, args=(self.listen, heard), daemon=True).start()
        heard.wait()
        threading.Thread(target=self.guard, args=(self.publish,), daemon=True).start()
        try:
            while self.read():
                pass
            end = time.monotonic() + PATIENCE
            while self.book.waiting and time.monotonic() < end:
                time.sleep(0.02)
        finally:
            for path in (*self.files, *self.sealed.values()):
                path.unlink(missing_ok=True)

    def guard(self, work: Any, *arguments: Any) -> None:
        """Let nothing wait for a thread that has failed."""
        try:
            work(*arguments)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
            os._exit(3)

    def read(self) -> bool:
        """Take one line of the operator's; False at the end."""
        line = self.source.readline()
        if not line:
            return False
        asked = json.loads(line)
        if "put" in asked:
            self.put(asked["put"], self.source.read(asked["length"]), last=asked["last"])
        elif "end" in asked:
            with self.lock:
                self.book.give_up(asked["end"])
        else:
            request = Request(asked["session"], asked["host"], asked["request"], asked.get("payload") or "")
            with self.lock:
                now = self.book.add(request)
            if now:
                self.ready.put(now)
        return True

    def put(self, sha256: str, data: bytes, *, last: bool) -> None:
        """Keep a piece of what minions will fetch."""
        path = self.master.folder / f"{sha256}.{os.getpid()}"
        self.files.add(path)
        with path.open("ab") as file:
            file.write(data)
        if last:
            self.master.keep(path)

    def publish(self) -> None:
        """Publish what waits; look after minions that are silent."""
        left: list[Request] = []
        look = time.monotonic()
        while True:
            try:
                if not left:
                    left.append(self.ready.get(timeout=0.5))
                    time.sleep(GATHER)
                while True:
                    left.append(self.ready.get_nowait())
            except queue.Empty:
                pass
            now, left = batch(left)
            if now:
                self.tell(now)
            if time.monotonic() - look >= 1.0:
                look = time.monotonic()
                self.look(look)

    def tell(self, requests: list[Request]) -> None:
        """Publish requests to different hosts as one job."""
        letters, job = {}, self.master.job()
        for first in requests:
            if not self.master.knows(first.host):
                self.gone(first, *self.stranger(first.host))
                continue
            with self.lock:
                request = self.book.gather(first)
            where = f"salt://{FOLDER}/{request.payload}.{os.getpid()}" if request.payload else None
            order = {"name": self.name, "requests": request.bodies, "payload": where}
            letters[request.host], path = self.master.seal(request.host, json.dumps(order).encode())
            with self.lock:
                if path:
                    self.sealed[job, request.host] = path
                self.book.begin(job, request, time.monotonic())
        if letters:
            self.master.publish(list(letters), "release.call", [letters], job)

    @staticmethod
    def stranger(host: str) -> tuple[str, str, str]:
        """Say that a host is no minion."""
        hint = f"on the master: salt-key -a {host}, when its minion's id is {host} and it asks for that"
        return f"{host}: the salt-master has accepted no minion {host}", hint, "unreachable"

    def look(self, now: float) -> None:
        """Ask silent minions what they are at, and give up those that don't say."""
        with self.lock:
            hosts = sorted(self.book.quiet(now))
            dead = self.book.dead(now)
            pending = [began for began in self.looks.values() if now - began < self.book.silence / 3]
            self.looks = {job: began for job, began in self.looks.items() if now - began < 4 * self.book.silence}
        for run in dead:
            host = run.request.host
            self.gone(
                run.request,
                f"{host}: can't be reached: its salt-minion has not answered the master for {self.book.silence:.0f} s",
                f"is it switched on, and the network in between up? on the master: salt {host} test.ping; "
                f"on {host}: systemctl status salt-minion",
                "unreachable",
            )
        if hosts and not pending:
            job = self.master.job()
            with self.lock:
                self.looks[job] = now
            self.master.publish(hosts, FIND, [], job)

    def listen(self, heard: threading.Event) -> None:
        """Hear what minions return."""
        bus = self.master.events()
        heard.set()
        while True:
            event = bus.get_event(wait=1, tag="salt/job/", full=True, match_type="startswith", auto_reconnect=True)
            words = event["tag"].split("/") if event else []
            if len(words) == 5 and words[3] == "ret":
                self.returned(words[2], words[4], event["data"].get("return"))

    def returned(self, job: str, host: str, value: Any) -> None:
        """Take what a minion returned."""
        if job in self.looks:
            jobs = {str(entry.get("jid")) for entry in value} if isinstance(value, list) else set()
            with self.lock:
                alive, lost = self.book.seen(host, jobs, self.looks[job], time.monotonic())
            for request in alive:
                self.say(request.session, {"id": request.bodies[-1]["id"], "event": "waiting", "detail": "it is at it"})
            for request in lost:
                self.gone(
                    request, f"{host}: its salt-minion has lost the request", f"on {host}: journalctl -u salt-minion"
                )
            return
        with self.lock:
            done, following = self.book.end(job, host)
            path = self.sealed.pop((job, host), None)
        if path:
            path.unlink(missing_ok=True)
        if done is None:
            return
        lines, problem = understand(host, value, len(done.bodies))
        for line in lines:
            self.say(done.session, line)
        if problem:
            if following:
                self.book.give_up(done.session)
            self.say(done.session, {"code": "", **problem}, mark="!")
        elif following:
            self.ready.put(following)

    def gone(self, request: Request, message: str, hint: str, code: str = "") -> None:
        """Tell that a host can't be spoken with, and forget the session."""
        with self.lock:
            self.book.give_up(request.session)
        self.say(request.session, {"message": message, "hint": hint, "code": code}, mark="!")

    def say(self, session: int, message: Mapping[str, Any] | str, mark: str = "") -> None:
        """Send the operator one line."""
        text = message if isinstance(message, str) else json.dumps(message)
        with self.lock:
            self.target.write(f"{session} {mark}{text}\n".encode())
            self.target.flush()


def main(name: str, silence: float, config: str) -> None:
    """Serve on standard input and output; whatever else writes there goes to standard error."""
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        master = Master(config)
        master.prepare()
    except Exception as error:
        sys.exit(f"slipway-relay: {error}")
    Relay(master, name, silence, sys.stdin.buffer, target).serve()
    os._exit(0)  # Salt's own threads are nobody's business any more
