"""Clients that send GET and POST, without ever retrying, until SIGTERM; then one line of JSON says what came of it.

Run as `python load.py [HOST:]PORT CLIENTS keep|close`.
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
from collections import Counter

stopping = threading.Event()
counts: Counter[str] = Counter()
failures: list[str] = []
lock = threading.Lock()


def client(host: str, port: int, keep: bool, post: bool) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=20)
    while not stopping.is_set():
        headers = {"Host": "localhost", **({} if keep else {"Connection": "close"})}
        try:
            connection.request("POST" if post else "GET", "/", b"x" * 100 if post else None, headers)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            with lock:
                counts["requests"] += 1
                counts[f"generation {body['generation']}"] += 1
                if answer.status != 200:
                    failures.append(str(answer.status))
        except Exception as error:
            with lock:
                failures.append(f"{'POST' if post else 'GET'}: {error!r}")
            connection.close()
        stopping.wait(0.02)  # enough to be there at any moment, and leave the processor to those who are watched
    connection.close()


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    clients, mode = int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    arguments = (host or "127.0.0.1", int(port), mode == "keep")
    threads = [threading.Thread(target=client, args=(*arguments, n % 2 == 1)) for n in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({**counts, "failures": failures}) + "\n")


if __name__ == "__main__":
    main()
