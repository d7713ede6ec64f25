"""How a release comes to a host: as files, as an rpm, or as an image; the environment file's `artifact` says which.

What a host has already is put right in the form in which it came there.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from deploy import sync
from deploy.agents import Agent, AgentError
from deploy.artifacts import ReleaseTree
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.facts import Host, Lack
from deploy.image_stream import Archive
from deploy.wording import count, human

GRACE = 60.0  # seconds an answer may take beyond a second for each megabyte
INSTALL = 600.0  # seconds that rpm may be silent: it waits for another one


class StagingError(SlipwayError):
    """What the environment's hosts take is not in dist/, or is of another build."""


class Form(Protocol):
    """One form of a release."""

    def lack(self, agent: Agent) -> Lack:
        """Tell what a host that has no whole release lacks."""

    def settle(self, agent: Agent, token: int) -> None:
        """Have a host use what it has, with this release's signature.

        Raises: AgentError incomplete.
        """

    def send(self, agent: Agent, token: int) -> str:
        """Bring the release to a host; say what was sent."""


@dataclass(frozen=True)
class Supply:
    """A release, and the form in which an environment's hosts get it."""

    environment: Environment
    release: ReleaseTree

    def lack(self, agent: Agent, host: Host) -> Lack:
        """Tell what a host lacks of the release.

        Raises: StagingError when it is not at hand in the form that the host takes.
        """
        kind = self._kind(host)
        if host.has(self.release.version, self.release.digest):
            return Lack(kind)
        form = self._form(kind)
        # A host that can't take it is not asked; preflight says what it needs.
        return Lack(kind, 1) if host.forms.get(kind) else form.lack(agent)

    def bring(self, agent: Agent, kind: str, token: int, *, whole: bool) -> str:
        """Bring the release to a host in one of the forms, or, where it is whole, what is new of it."""
        form = self._form(kind)
        if whole:
            try:
                form.settle(agent, token)
                return "nothing sent"
            except AgentError as error:
                if error.code != "incomplete":
                    raise
        return form.send(agent, token)

    def _kind(self, host: Host) -> str:
        """Choose the form: what the environment says; but files that lie there stay files, and an image an image."""
        wanted, there = self.environment.file.artifact, host.release(self.release.version)
        if there is None or there.digest != self.release.digest or (there.form == "image") == (wanted == "image"):
            return wanted
        return "image" if there.form == "image" else "tree"

    def _form(self, kind: str) -> Form:
        forms: dict[str, Callable[[], Form]] = {
            "tree": self._tree,
            "rpm": self._rpm,
            "image": self._image,
        }
        return forms[kind]()

    def _tree(self) -> Form:
        return Tree(self.release, self._archives if self.environment.remote else None)

    @cached_property
    def _archives(self) -> sync.Archives[str]:
        files = sync.contents(self.release.manifest.data)
        return sync.Archives(partial(sync.stream, self.release.path, files))

    def _rpm(self) -> Form:
        if self.environment.file.rpm.source == "repository":
            return Rpm(self.release, lambda: None)
        return Rpm(self.release, lambda: self._package)  # looked for when it is to be sent: a whole release needs none

    @cached_property
    def _package(self) -> Package:
        package = find_rpm(self.release)
        self._refuse_dirty(package.path, ".dirty." in package.path.name, "make rpm")
        return package

    def _image(self) -> Form:
        return Image(self.release, self._archive, self._layers)

    @cached_property
    def _archive(self) -> Archive:
        archive = find_image(self.release)
        self._refuse_dirty(archive.path, bool(archive.label("slipway.dirty")), "make image")
        if self.environment.file.signatures == "required" and image_signature(archive) is None:
            raise StagingError(
                f'{archive.path}: is not signed, and {self.environment.path} says signatures = "required"',
                hint="make sign",
            )
        return archive

    def _refuse_dirty(self, path: Path, dirty: bool, make: str) -> None:
        if dirty and self.environment.file.dirty == "refused":
            raise StagingError(
                f"{path}: has changes of packaging/ that nobody committed, and {self.environment.path} says "
                'dirty = "refused"',
                hint=f"commit, then make release and {make}",
            )

    @cached_property
    def _layers(self) -> sync.Archives[int]:
        return sync.Archives(lambda have: self._archive.stream(have[0]))


@dataclass(frozen=True)
class Tree:
    """Files, content-addressed: no host gets what it has. They travel compressed where there are `archives`."""

    release: ReleaseTree
    archives: sync.Archives[str] | None = None

    def lack(self, agent: Agent) -> Lack:
        """See `Form`."""
        files = sync.contents(self.release.manifest.data)
        missing = agent.call("missing", hashes=sorted(files))["missing"]
        size = sum(files[sha256][1] for sha256 in missing)
        return Lack("tree", len(missing), size, size)

    def settle(self, agent: Agent, token: int) -> None:
        """See `Form`."""
        agent.request("assemble", _manifest(self.release, token), silence=GRACE)

    def send(self, agent: Agent, token: int) -> str:
        """See `Form`."""
        files = sync.contents(self.release.manifest.data)
        missing = agent.call("missing", hashes=sorted(files))["missing"]
        if missing:
            self._send(agent, token, files, missing)
        self.settle(agent, token)
        size = human(sum(files[sha256][1] for sha256 in missing))
        return f"{count(len(missing), 'file')}, {size} sent" if missing else "no file sent"

    def _send(self, agent: Agent, token: int, files: dict[str, tuple[str, int]], missing: list[str]) -> None:
        sizes = [files[sha256][1] for sha256 in missing]
        payload: Iterable[bytes]
        if self.archives:
            encoding, (length, payload) = "gzip", self.archives.of(missing)
        else:
            encoding, length = "identity", sync.length(sizes)
            payload = sync.stream(self.release.path, files, missing)
        request = {"encoding": encoding, "length": length, "token": token}
        try:
            agent.request("receive", request, payload=payload, silence=GRACE + sum(sizes) / 1e6)
        except AgentError as error:
            if error.code == "hash-mismatch":
                sync.expose_altered(self.release.path, files, missing)
                error.hint = "make release puts the file in dist/ right"
            raise


@dataclass(frozen=True)
class Package:
    """An rpm in dist/."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Rpm:
    """One package; `find` gives None where the hosts' own dnf has it in a repository."""

    release: ReleaseTree
    find: Callable[[], Package | None]

    def lack(self, agent: Agent) -> Lack:
        """See `Form`."""
        package = self.find()
        size = package.size if package else 0
        return Lack("rpm", 1, size, size + sum(entry.get("size", 0) for entry in self.release.manifest.data["files"]))

    def settle(self, agent: Agent, token: int) -> None:
        """See `Form`."""
        agent.request("assemble", _manifest(self.release, token), silence=GRACE)

    def send(self, agent: Agent, token: int) -> str:
        """See `Form`."""
        package = self.find()
        if package is None:
            done = agent.request("install", _manifest(self.release, token), silence=INSTALL)
            return "dnf brought it" if done["installed"] else "it was there"
        request = {**_manifest(self.release, token), "length": package.size, "sha256": package.sha256}
        with package.path.open("rb") as file:
            chunks = iter(lambda: file.read(sync.CHUNK), b"")
            done = agent.request("install", request, payload=chunks, silence=INSTALL + package.size / 1e6)
        return f"rpm, {human(package.size)} sent" + ("" if done["installed"] else ", and it was there")


@dataclass(frozen=True)
class Image:
    """The layers that the host's engine lacks, compressed: images are for servers."""

    release: ReleaseTree
    archive: Archive
    compressed: sync.Archives[int]

    def lack(self, agent: Agent) -> Lack:
        """See `Form`."""
        have = self._have(agent)
        size = self.archive.size(have)
        # The engine unpacks what it was sent aside, and then once more.
        return Lack("image", len(self.archive.layers) - have, size, 2 * size)

    def _have(self, agent: Agent) -> int:
        return int(agent.call("layers", layers=self.archive.layers)["have"])

    def settle(self, agent: Agent, token: int) -> None:
        """See `Form`."""
        agent.request("load", self._request(token), silence=GRACE)

    def send(self, agent: Agent, token: int) -> str:
        """See `Form`; an engine that wants all layers, whatever it has, gets all of them."""
        have = self._have(agent)
        try:
            return self._send(agent, token, have)
        except AgentError as error:
            if error.code != "engine-refused" or not have:
                raise
            return self._send(agent, token, 0)

    def _send(self, agent: Agent, token: int, have: int) -> str:
        length, payload = self.compressed.of((have,))
        silence = INSTALL + self.archive.size(have) / 1e6
        done = agent.request("load", {**self._request(token), "length": length}, payload=payload, silence=silence)
        layers = count(len(self.archive.layers) - have, "layer")
        return f"{layers}, {human(self.archive.size(have))} sent" + ("" if done["loaded"] else ", and it was there")

    def _request(self, token: int) -> dict[str, Any]:
        image = {"image": self.archive.identity, "image_signature": image_signature(self.archive)}
        return {**_manifest(self.release, token), **image}


def find_image(release: ReleaseTree) -> Archive:
    """Find the image of a release beside its tree.

    Raises: StagingError.
    """
    path = release.path.with_name(f"{release.path.name}.image.tar")
    if not path.is_file():
        raise StagingError(f"no image of {release.version} in {path.parent}/ (expected {path.name})", hint="make image")
    archive = Archive(path)
    if archive.label("slipway.release.digest") != release.digest:
        raise StagingError(f"{path}: is not of the release in {release.path}", hint="make image")
    return archive


def image_signature(archive: Archive) -> str | None:
    """Give the signature over an image's id, when somebody signed it."""
    path = archive.path.with_suffix(".id.sig")
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None


def find_rpm(release: ReleaseTree) -> Package:
    """Find the package of a release beside its tree.

    Raises: StagingError.
    """
    from deploy.artifacts.rpm import version

    name, arch = release.manifest.data["name"], release.manifest.data["platform"].partition("-")[2]
    stem = f"{name}-release-{release.version}-{version.of(release.version)}"
    # `make rpm` leaves one; its release field is longer when templates were changed that nobody committed.
    found = sorted(release.path.parent.glob(f"{glob.escape(stem)}-1*.{arch}.rpm"))
    path = next((path for path in found if "-" not in path.name.removeprefix(f"{stem}-")), None)
    if path is None:
        expected = f"{stem}-1.{arch}.rpm"
        raise StagingError(
            f"no rpm of {release.version} in {release.path.parent}/ (expected {expected})", hint="make rpm"
        )
    data = path.read_bytes()
    if release.digest.encode() not in data:  # it is in the description, and a header is not compressed
        raise StagingError(f"{path}: is not of the release in {release.path}", hint="make rpm")
    return Package(path, len(data), hashlib.sha256(data).hexdigest())


def _manifest(release: ReleaseTree, token: int) -> dict[str, Any]:
    return {"manifest": release.manifest.text, "signature": release.signature, "token": token}
