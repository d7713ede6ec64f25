"""`python -m deploy.artifacts.supply COMMAND`: what make's targets of these names call."""

import argparse
import sys
from pathlib import Path
from typing import Any

from deploy import contract as contracts
from deploy.artifacts import signing
from deploy.artifacts.command import carry_out, shown
from deploy.artifacts.supply import bundle


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command, and say what came of it."""
    options = _parser().parse_args(arguments)
    return carry_out(lambda: options.act(options), lambda fact: "\n".join(fact["lines"]), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.artifacts.supply", description="Build, sign, prove.")
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, act, text in (
        ("artifacts", _artifacts, "everything: wheel, release, archive, agent, bill, packages, provenance, sums"),
        ("key", _key, "a key to sign releases with"),
        ("repo-key", _repo_key, "a key to sign packages and their repository with"),
        ("sign", _sign, "the signatures of what was built"),
        ("verify-reproducible", _verify, "a second build elsewhere, and compare"),
        ("audit", _audit, "a look for known vulnerabilities of what is locked"),
    ):
        kind = kinds.add_parser(name, help=text, description=f"Make {text}.")
        kind.set_defaults(act=act)
        kind.add_argument("--source", type=Path, default=Path(), help="checkout to build from (default: this folder)")
        kind.add_argument("--out", type=Path, default=Path("dist"), help="folder to write to (default: dist)")
        kind.add_argument("--ref", help="commit, tag or branch (default: the working tree as it is)")
        kind.add_argument("--without", default="", help="artifacts to leave out, comma-separated")
        kind.add_argument("--ignore", default="", help="vulnerabilities that do no harm here, comma-separated")
        kind.add_argument("--strict", action="store_true", help="fail when nothing could be asked")
        kind.add_argument("--unsigned", action="store_true", help="sign nothing, also when there is a key")
        kind.add_argument("--who", help="whose key it is (default: git's user.email)")
        kind.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _words(text: str) -> list[str]:
    return [word for word in text.replace(" ", ",").split(",") if word]


def _artifacts(options: argparse.Namespace) -> dict[str, Any]:
    without = _words(options.without)
    made = bundle.build(options.source, options.ref, options.out, without=without, sign=not options.unsigned)
    lines = [f"artifacts {made.release.version}", f"  {shown(made.release.path)}/"]
    lines += [f"  {shown(path)}  {path.stat().st_size / 1e6:.1f} MB" for path in made.files]
    lines += [f"  left out: {name}: {reason}" for name, reason in made.left_out.items()]
    lines.append(f"  {made.signed_by or 'not signed: there is no key (make key)'}, {made.seconds:.1f} s")
    return {
        "version": made.release.version,
        "digest": made.release.digest,
        "files": [path.name for path in made.files],
        "left_out": made.left_out,
        "signed": made.signed_by,
        "lines": lines,
    }


def _key(options: argparse.Namespace) -> dict[str, Any]:
    name = contracts.read(options.source).name
    key, who = signing.make_key(name, options.source.resolve(), options.who)
    lines = [
        f"key       {key}",
        f"  {who} can sign releases of {name}; keep the file, and a copy of it, away from the repository",
        f"  -> git add {signing.ALLOWED} && git commit -m 'Let {who} sign releases'",
    ]
    return {"key": str(key), "who": who, "lines": lines}


def _repo_key(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.rpm import openpgp

    name = contracts.read(options.source).name
    key, who, fingerprint = openpgp.make_key(name, options.source.resolve(), options.who)
    lines = [
        f"repo-key  {key}",
        f"  {fingerprint} signs packages of {name}; keep the file, and a copy of it, away from the repository",
        f"  -> git add {openpgp.PUBLIC} && git commit -m 'Let {who} sign packages'",
    ]
    return {"key": str(key), "who": who, "fingerprint": fingerprint, "lines": lines}


def _sign(options: argparse.Namespace) -> dict[str, Any]:
    made, signed = bundle.sign(options.source, options.ref, options.out)
    return {"files": [str(path) for path in made], "lines": [str(signed), *(f"  {shown(path)}" for path in made)]}


def _verify(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.supply import reproducible

    found = reproducible.verify(options.source, options.ref, without=_words(options.without))
    return {"compared": found.compared, "differences": found.how, "lines": found.lines()}


def _audit(options: argparse.Namespace) -> dict[str, Any]:
    from deploy.artifacts.supply import audit

    root = options.source.resolve()
    locks = audit.locks_of(root, contracts.read(root).lock)
    found = audit.audit(root, locks, _words(options.ignore))
    if found.source is None and options.strict:
        raise audit.AuditError(found.lines()[0], hint=f"connect this machine, or set {audit.VARIABLE} to a mirror")
    return {"source": found.source, "packages": found.packages, "unknown": found.unknown, "lines": found.lines()}


if __name__ == "__main__":
    sys.exit(main())
