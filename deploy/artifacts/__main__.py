"""`python -m deploy.artifacts wheel|release|rpm|repo`: what the targets of make of these names call."""

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
    kinds = parser.add_subparsers(required=True, metavar="wheel|release|rpm|repo")
    for name, build, text in (
        ("wheel", _wheel, "the wheel of the app"),
        ("release", _release, "the release tree: interpreter link, locked dependencies, the app, manifest"),
        ("rpm", _rpm, "the packages: the release tree, what a server needs beside it, and one that brings both"),
        ("repo", _repo, "the packages, and a dnf repository of all that were built"),
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


def _rpm(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.rpm import build_rpms  # jinja2 is slow to import

    tree, packages, seconds = build_rpms(options.source, options.ref, options.out)
    return {
        "artifact": "rpm",
        "version": tree.version,
        "path": _shown(packages[0].path),
        "packages": [{"path": _shown(package.path), "sha256": package.sha256} for package in packages],
        "built": any(package.built for package in packages),
        "files": 1,
        "bytes": packages[0].path.stat().st_size,
        "sha256": packages[0].sha256,
        "seconds": round(seconds, 2),
    }


def _repo(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.repo import build_repo

    started = time.monotonic()
    built = _rpm(options)
    repository = build_repo(options.out)
    own = {
        "artifact": "repo",
        "path": _shown(repository.path),
        "built": repository.built,
        "files": repository.packages,
        "bytes": sum(path.stat().st_size for path in repository.path.glob("*.rpm")),
        "sha256": repository.sha256,
        "seconds": round(time.monotonic() - started, 2),
    }
    return {**built, **own}


def _line(fact: dict[str, Any]) -> str:
    size = f"{fact['bytes'] / 1e6:.1f} MB" if fact["bytes"] >= 1e5 else f"{fact['bytes'] / 1e3:.1f} kB"
    count = f"{fact['files']} files, " if fact["files"] > 1 else ""
    done = "" if fact["built"] else "already there, "
    paths = [package["path"] for package in fact.get("packages", ())][1:] if fact["artifact"] == "rpm" else []
    return (
        f"{fact['artifact']:<8} {fact['version']}\n"
        + "".join(f"  {path}\n" for path in (fact["path"], *paths))
        + f"  {done}{count}{size}, sha256 {fact['sha256'][:12]}, {fact['seconds']:.2f} s"
    )


def _shown(path: Path) -> str:
    """Show a path as short as it can be typed."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    sys.exit(main())
