"""Try an image before it is offered to anybody: does the app import in it, read-only and as its own user?"""

import time
from pathlib import Path
from typing import Any

from deploy.artifacts import importing
from deploy.artifacts.image import engine
from deploy.artifacts.image.base import Base
from deploy.contract import Contract
from deploy.errors import SlipwayError

_CHECK = "import sys\nfor name in sys.argv[1:]: __import__(name)\n"


class TryError(SlipwayError):
    """The image does not start."""


def try_out(archive: Path, reference: str, contract: Contract, base: Base) -> str:
    """Load an image into the engine that can be had, start it, and say what was found."""
    started = time.monotonic()
    with engine.found() as client:
        if client is None:
            return f"not tried: {engine.problem()}"
        load(client, archive)
        try:
            said = _imported(client, reference, contract, base)
        finally:
            if engine.is_ours(client):  # in the machine's own engine it stays, as after `docker build --tag`
                client.images.remove(reference, force=True)
    seconds = time.monotonic() - started
    return f"{said}, read-only and as its own user, in {seconds:.1f} s"


def load(client: Any, archive: Path) -> None:
    """Load an archive."""
    with archive.open("rb") as file:
        client.images.load(file)


def _imported(client: Any, reference: str, contract: Contract, base: Base) -> str:
    import docker

    modules, _ = importing.modules(contract)
    release = f"/opt/{contract.name}/release/bin/python"
    try:
        client.containers.run(
            reference,
            ["-I", "-c", _CHECK, *modules],
            entrypoint=[release],
            read_only=True,
            remove=True,
            network_mode="none",
        )
    except docker.errors.ContainerError as error:
        lines = tuple(error.stderr.decode(errors="replace").splitlines()[-6:])
        raise TryError(f"{reference}: the app does not import on {base.name}", problems=lines) from None
    except docker.errors.APIError as error:
        raise TryError(
            f"{reference}: does not start: {error.explanation or error}",
            hint=f"expected {contract.interpreter} in the base {base.name}",
        ) from None
    return "tried: imports " + ", ".join(modules)
