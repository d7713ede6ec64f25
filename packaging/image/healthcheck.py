"""Ask the app of this container for its health: `healthcheck.py PATH HOST PORT`. Exactly 200 is healthy.

Runs under the release's own Python: the image has no curl, and an open port proves nothing.
"""

import http.client
import sys

DEADLINE = 4  # seconds; below the time-out of HEALTHCHECK, so that the reason is heard


def main(path: str, host: str, port: str) -> int:
    """Answer 0 for 200; otherwise say what came, and answer 1, the code that Docker takes for unhealthy."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=DEADLINE)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        said = f"{response.status} {response.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{path}: expected 200, got no answer: {error!r}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{path}: {said}\n")
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
