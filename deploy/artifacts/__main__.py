"""`python -m deploy.artifacts wheel|release|rpm|repo`: what the targets of make of these names call."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy import contract
from deploy.artifacts import cache, release, wheel
from deploy.artifacts.command import carry_out, shown
from deploy.artifacts.files import digest


def main(arguments: list[str] | None = None) -> int:
    """Build, and say what was built, where it is and how long it took."""
    options = _parser().parse_args(arguments)
    return carry_out(lambda: options.build(options), _line, as_json=options.json)


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
        if name == "repo":
            kind.add_argument("--unsigned", action="store_true", help="sign nothing, also when there is a key")
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
        "path": shown(built.path),
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
        "path": shown(packages[0].path),
        "packages": [{"path": shown(package.path), "sha256": package.sha256} for package in packages],
        "built": any(package.built for package in packages),
        "files": 1,
        "bytes": packages[0].path.stat().st_size,
        "sha256": packages[0].sha256,
        "seconds": round(seconds, 2),
    }


def _repo(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.rpm import openpgp, tools
    from deploy.artifacts.rpm.repo import build_repo

    started = time.monotonic()
    root = options.source.resolve()
    name = contract.read(root).name
    tools.require("createrepo_c")
    with openpgp.found(name, root, unsigned=options.unsigned) as signer:
        built = _rpm(options)
        repository = build_repo(options.out, name, signer)
    own = {
        "artifact": "repo",
        "path": shown(repository.path),
        "built": repository.built,
        "files": repository.packages,
        "bytes": sum(path.stat().st_size for path in repository.path.glob("*.rpm")),
        "sha256": repository.sha256,
        "seconds": round(time.monotonic() - started, 2),
        "signed": signer.fingerprint if signer else None,
    }
    return {**built, **own}


def _line(fact: Mapping[str, Any]) -> str:
    size = f"{fact['bytes'] / 1e6:.1f} MB" if fact["bytes"] >= 1e5 else f"{fact['bytes'] / 1e3:.1f} kB"
    count = f"{fact['files']} files, " if fact["files"] > 1 else ""
    done = "" if fact["built"] else "already there, "
    paths = [package["path"] for package in fact.get("packages", ())][1:] if fact["artifact"] == "rpm" else []
    return (
        f"{fact['artifact']:<8} {fact['version']}\n"
        + "".join(f"  {path}\n" for path in (fact["path"], *paths))
        + f"  {done}{count}{size}, sha256 {fact['sha256'][:12]}, {fact['seconds']:.2f} s"
        + (_signed(fact["signed"]) if "signed" in fact else "")
    )


def _signed(fingerprint: str | None) -> str:
    return f"\n  signed by {fingerprint}" if fingerprint else "\n  not signed: there is no key (make repo-key)"


if __name__ == "__main__":
    sys.exit(main())
