"""`python -m deploy.artifacts.image`: what `make image` calls."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.artifacts import cache as caches
from deploy.artifacts.command import carry_out, shown
from deploy.artifacts.image import trial
from deploy.artifacts.image.base import Base
from deploy.artifacts.image.image import Image, base_of, build_image, read_contract
from deploy.artifacts.release import build_release
from deploy.contract import Contract
from deploy.errors import SlipwayError


def main(arguments: list[str] | None = None) -> int:
    """Build the image, try it if an engine can be had, and say what was built."""
    options = _parser().parse_args(arguments)
    return carry_out(lambda: _image(options), _lines, as_json=options.json)


def _image(options: argparse.Namespace) -> dict[str, Any]:
    contract = read_contract(options.source, options.ref)
    release = build_release(options.source, options.ref, options.out)
    more = contract.slipway.system_packages.debian
    with base_of(options.base, contract.python, caches.of_user(), more, anew=options.new_base) as base:
        made = build_image(options.source, options.ref, options.out, base, contract, release)
        tried = _tried(made, contract, base) if made.built else None
    return _fact(made, tried)


def _tried(made: Image, contract: Contract, base: Base) -> str:
    """Try what was built; an image that does not start is no artifact."""
    try:
        return trial.try_out(made.path, made.reference, contract, base)
    except SlipwayError:
        made.path.unlink(missing_ok=True)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.artifacts.image", description="Build the image.")
    parser.add_argument("--ref", help="commit, tag or branch to build (default: the working tree as it is)")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder to write to (default: dist)")
    parser.add_argument("--source", type=Path, default=Path(), help="checkout to build from (default: this folder)")
    parser.add_argument("--base", help="image to build on (default: made of Debian's packages)")
    parser.add_argument("--new-base", action="store_true", help="make the base anew, with today's packages")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _fact(made: Image, tried: str | None) -> dict[str, Any]:
    return {
        "artifact": "image",
        "version": made.version,
        "path": shown(made.path),
        "reference": made.reference,
        "id": made.identity,
        "layers": made.sizes(),
        "bytes": made.path.stat().st_size,
        "built": made.built,
        "tried": tried,
        "seconds": round(made.seconds, 2),
    }


def _lines(fact: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in fact["layers"].items())
    done = "" if fact["built"] else "already there, "
    lines = [
        f"image    {fact['version']}",
        f"  {fact['path']}",
        f"  {done}{fact['reference']}, {sizes}, id {fact['id'][7:19]}, {fact['seconds']:.2f} s",
    ]
    return "\n".join([*lines, *([f"  {fact['tried']}"] if fact["tried"] else [])])


if __name__ == "__main__":
    sys.exit(main())
