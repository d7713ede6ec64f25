"""`python -m deploy.artifacts wheel|release`: what `make wheel` and `make release` call."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from deploy.artifacts import cache, release, wheel
from deploy.artifacts.wheelhouse import digest
from deploy.errors import Exit, SlipwayError


def main(arguments: list[str] | None = None) -> int:
    """Build, and say what was built, where it is and how long it took."""
    options = _parser().parse_args(arguments)
    try:
        fact = options.build(options)
    except SlipwayError as error:
        if options.json:
            problems = {"message": error.message, "problems": list(error.problems), "hint": error.hint}
            print(json.dumps({"ok": False, "error": problems}))  # noqa: T201
        else:
            print(f"slipway: {error.report()}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    print(json.dumps({"ok": True, **fact}) if options.json else _line(fact))  # noqa: T201
    return int(Exit.OK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.artifacts", description="Build what is shipped.")
    kinds = parser.add_subparsers(required=True, metavar="wheel|release")
    for name, build, text in (
        ("wheel", _wheel, "the wheel of the app"),
        ("release", _release, "the release tree: interpreter link, locked dependencies, the app, manifest"),
    ):
        kind = kinds.add_parser(name, help=text, description=f"Build {text}.")
        kind.set_defaults(build=build)
        kind.add_argument("--ref", help="commit, tag or branch to build (default: the working tree as it is)")
        kind.add_argument("--out", type=Path, default=Path("dist"), help="folder to write to (default: dist)")
        kind.add_argument("--source", type=Path, default=Path(), help="checkout to build from (default: this folder)")
        kind.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _wheel(options: argparse.Namespace) -> dict[str, Any]:
    started = time.monotonic()
    version, path, made = wheel.build_wheel(options.source, options.ref, options.out, cache.of_user())
    return {
        "artifact": "wheel",
        "version": version.text,
        "path": str(path),
        "built": made,
        "files": 1,
        "bytes": path.stat().st_size,
        "sha256": digest(path),
        "seconds": round(time.monotonic() - started, 2),
    }


def _release(options: argparse.Namespace) -> dict[str, Any]:
    built = release.build_release(options.source, options.ref, options.out)
    sizes = [entry["size"] for entry in built.manifest.data["files"] if "size" in entry]
    return {
        "artifact": "release",
        "version": built.version,
        "path": _shown(built.path),
        "built": built.built,
        "files": len(sizes),
        "bytes": sum(sizes),
        "sha256": built.digest,
        "seconds": round(built.seconds, 2),
    }


def _line(fact: dict[str, Any]) -> str:
    size = f"{fact['bytes'] / 1e6:.1f} MB" if fact["bytes"] >= 1e5 else f"{fact['bytes'] / 1e3:.1f} kB"
    count = f"{fact['files']} files, " if fact["files"] > 1 else ""
    done = "" if fact["built"] else "already there, "
    return (
        f"{fact['artifact']:<8} {fact['version']}\n  {fact['path']}\n"
        f"  {done}{count}{size}, sha256 {fact['sha256'][:12]}, {fact['seconds']:.2f} s"
    )


def _shown(path: Path) -> str:
    """Show a path as short as it can be typed."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    sys.exit(main())
