"""Everything that is made of one state of the source: `make artifacts`. Every file is listed, and signed with a key.

What can't be made on this machine is left out, and said with the reason: a desk without rpmbuild still gets a release.
"""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import cache as caches
from deploy.artifacts import manifest, signing, wheel
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.release import build_release
from deploy.artifacts.source import opened
from deploy.artifacts.source import version as versions
from deploy.artifacts.source.beside import ALL, beside
from deploy.artifacts.supply import provenance
from deploy.artifacts.supply.builders import BUILDERS, Job
from deploy.errors import SlipwayError

SUMS = "SHA256SUMS"
VOUCHED = (provenance.SUFFIX, ".image.id")  # what is signed beside the manifest and the sums


class BundleError(SlipwayError):
    """Not everything that was asked for can be made."""


@dataclass(frozen=True)
class Bundle:
    """What lies in `dist/` now, and what does not."""

    release: ReleaseTree
    files: tuple[Path, ...]
    left_out: dict[str, str]  # artifact: why
    signed_by: str | None
    seconds: float


def build(
    source: Path,
    ref: str | None,
    out: Path,
    *,
    without: Collection[str] = (),
    sign: bool = True,
    cache: Cache | None = None,
) -> Bundle:
    """Build everything there is a builder and a tool for.

    Raises: SlipwayError of whatever part fails; BundleError for an unknown word in `without`.
    """
    started = time.monotonic()
    if unknown := set(without) - {builder.name for builder in BUILDERS}:
        known = ", ".join(builder.name for builder in BUILDERS)
        raise BundleError(f"{', '.join(sorted(unknown))}: expected what can be left out: {known}")
    cache, out = cache or caches.of_user(), out.resolve()
    version, wheel_path, _ = wheel.build_wheel(source, ref, out, cache)
    release = build_release(source, ref, out, cache)
    with opened(source, ref) as state, beside(state, ref) as own:
        contract = state.contract
        key = _key(contract.name) if sign else None
        signed = str(_sign_release(release, key, source)) if key else None
        more, left_out = _make(Job(source, ref, out, cache, contract, release, own), without)
    made = [wheel_path, *more]
    made.append(provenance.build(contract, version, release, made, out, own.mark(*ALL)))
    made.append(_sums(made, out / SUMS))
    if key:
        made += [signing.sign(path, key) for path in made if path.name == SUMS or path.name.endswith(VOUCHED)]
    return Bundle(release, tuple(made), left_out, signed, time.monotonic() - started)


def _make(job: Job, without: Collection[str]) -> tuple[list[Path], dict[str, str]]:
    """Make all that can be made here; answer it, and why the rest is left out."""
    made, left_out = list[Path](), dict[str, str]()
    for builder in BUILDERS:
        reason = "as asked" if builder.name in without else builder.lacks()
        if reason is None:
            made += builder.make(job)
        else:
            left_out[builder.name] = reason
    return made, left_out


def sign(source: Path, ref: str | None, out: Path) -> tuple[list[Path], signing.Signed]:
    """Sign what was built before of one state of the source: its manifest, and the lists beside it.

    Raises: SigningError without a key; ReleaseError without a release.
    """
    from deploy.artifacts.built import find_release

    with opened(source, ref) as state:
        contract, version = state.contract, versions.of(state)
    release, key = find_release(out, version.text), signing.key_of(contract.name)
    signed = _sign_release(release, key, source)
    made = [release.path / manifest.SIGNATURE]
    lists = [*(out / f"{release.path.name}{suffix}" for suffix in VOUCHED), out / SUMS]
    return [*made, *(signing.sign(path, key) for path in lists if path.is_file())], signed


def _key(name: str) -> Path | None:
    """Answer the key to sign with; a missing one is a mistake only when it was named."""
    key = signing.key_of(name)
    return key if key.exists() or os.environ.get("SLIPWAY_KEY") else None


def _sign_release(release: ReleaseTree, key: Path, source: Path) -> signing.Signed:
    """Sign a manifest, and ask the list that the servers get whether the key counts."""
    path, allowed = release.path / manifest.FILE, source / signing.ALLOWED
    before = release.path.stat()
    made = signing.sign(path, key)
    os.utime(release.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if not allowed.is_file():
        return signing.Signed("a key that no list names", signing.fingerprint(key))
    try:
        return signing.verify(path, allowed)
    except signing.SigningError:
        made.unlink()
        line = signing.line_of(key)
        raise signing.SigningError(
            f"{key}: this key is not in {signing.ALLOWED}: no server would take what it signs",
            hint=f"add it: echo '{line}' >> {signing.ALLOWED}" if line else "make key",
        ) from None


def _sums(paths: list[Path], target: Path) -> Path:
    """List hashes as sha256sum does: `cd dist && sha256sum -c SHA256SUMS` checks them."""
    rows = sorted((path.name, digest(path)) for path in paths)
    target.write_text("".join(f"{sha256}  {name}\n" for name, sha256 in rows), encoding="utf-8")
    target.chmod(0o644)
    return target
