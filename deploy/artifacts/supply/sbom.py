"""The software bill of materials of a release, as CycloneDX 1.6: what is in it, under which licence, and why.

It is written from the metadata of the very wheels that were unpacked, so it can't say anything else than what ships.
Wheels that have a bill of their own (PEP 770: `*.dist-info/sboms/`), for what is compiled into them, have its
components listed below theirs; the original lies in the release, and is referred to with its hash.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.source.version import Version
from deploy.artifacts.wheels import lock
from deploy.artifacts.wheels.unpack import Unpacked
from deploy.contract import Contract
from deploy.errors import SlipwayError

FILE = "sbom.cdx.json"
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: names that are URLs
_TAKEN = ("type", "name", "version", "hashes", "licenses", "purl")  # of components of a wheel's own bill
# What a classifier means in SPDX, where it means one licence only ("BSD License" may be any of several).
_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
}


class SbomError(SlipwayError):
    """A wheel brings a bill of materials that can't be read."""


def compose(
    contract: Contract, version: Version, interpreter: Interpreter, lock_sha256: str, parts: Sequence[Unpacked]
) -> bytes:
    """Write the bill of a release; `parts` are its wheels, the app's own the last."""
    *libraries, app = parts
    root = _component(app, "application", f"pkg:generic/{contract.name}@{quote(version.text)}")
    refs = {part.name: _purl(part) for part in libraries} | {app.name: root["bom-ref"]}
    components, inner = [], list[dict[str, Any]]()
    for part in sorted(libraries, key=lambda part: part.name):
        component = _component(part, "library", refs[part.name])
        inner += _merge(component, part)
        components.append(component)
    inner_root = _merge(root, app)
    body = {
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(version.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "slipway"}]},
            "component": root,
            "properties": _properties(
                commit=version.commit,
                python=contract.python,
                platform=interpreter.platform,
                libc=interpreter.libc,
                lock_sha256=lock_sha256,
            ),
        },
        "components": components,
        "dependencies": [*_graph(parts, refs, interpreter), *inner_root, *inner],
    }
    return _text(body)


def _component(part: Unpacked, kind: str, purl: str) -> dict[str, Any]:
    component: dict[str, Any] = {"type": kind, "bom-ref": purl, "name": part.name, "version": part.version}
    if part.summary:
        component["description"] = part.summary
    component["hashes"] = [{"alg": "SHA-256", "content": part.sha256}]  # of the wheel: the name is in properties
    if found := licences(part.licences):
        component["licenses"] = found
    return component | {"purl": purl, "properties": _properties(wheel=part.wheel)}


def licences(said: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Say in CycloneDX what a wheel declares: an SPDX expression if that can be told for sure, else its own words."""
    for text in (*said["expression"], *said["text"]):
        try:
            return [{"expression": str(canonicalize_license_expression(text)), "acknowledgement": "declared"}]
        except InvalidLicenseExpression:
            continue
    words = [each.rpartition(" :: ")[2] for each in said["classifiers"]]
    if len(words) == 1 and words[0] in _CLASSIFIED:
        return [{"expression": _CLASSIFIED[words[0]], "acknowledgement": "declared"}]
    words = words or [text.strip().splitlines()[0][:100] for text in said["text"] if text.strip()]
    return [{"license": {"name": word, "acknowledgement": "declared"}} for word in words]


def _graph(parts: Sequence[Unpacked], refs: Mapping[str, str], interpreter: Interpreter) -> list[dict[str, Any]]:
    """Say which part needs which, as the markers of the target and the extras that are asked for have it."""
    environment = lock.target_environment(interpreter)
    wanted = {part.name: {""} for part in parts}  # the extras of each
    needs: dict[str, set[str]] = {}
    while True:
        before = sum(map(len, wanted.values()))
        for part in parts:
            needs[part.name] = set()
            for requirement in map(Requirement, part.requires):
                name = canonicalize_name(requirement.name)
                if name in refs and _applies(requirement, wanted[part.name], environment):
                    needs[part.name].add(refs[name])
                    wanted[name] |= requirement.extras
        if sum(map(len, wanted.values())) == before:
            break
    return [{"ref": refs[name], "dependsOn": sorted(needs[name])} for name in sorted(needs, key=refs.__getitem__)]


def _applies(requirement: Requirement, extras: Iterable[str], environment: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras)


def _merge(component: dict[str, Any], part: Unpacked) -> list[dict[str, Any]]:
    """Put what a wheel's own bills list below its component; answer the edges between them."""
    edges = []
    for file in part.files:
        folder, _, name = file.path.rpartition("/")
        if not folder.endswith(".dist-info/sboms") or not name.endswith(".json"):
            continue
        try:
            bill = json.loads((part.folder / file.path).read_bytes())
            inner, more = _inner(part.name, bill)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SbomError(
                f"{part.wheel}: {name}: expected CycloneDX as JSON: {type(error).__name__}: {error}"
            ) from None
        component.setdefault("components", []).extend(inner)
        component.setdefault("externalReferences", []).append(
            {"type": "bom", "url": file.path, "hashes": [{"alg": "SHA-256", "content": file.sha256}]}
        )
        edges += more
    return edges


def _inner(owner: str, bill: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take over components that ship (`excluded` ones only built the wheel), under references that stay unique."""
    listed = [each for each in bill.get("components", []) if each.get("scope") != "excluded"]
    # A reference may hold the path of somebody's build machine: name and version say enough.
    refs = {
        each["bom-ref"]: f"{owner}#{each['name']}@{each.get('version', '')}" for each in listed if "bom-ref" in each
    }
    if (itself := bill.get("metadata", {}).get("component", {}).get("bom-ref")) is not None:
        refs[itself] = f"{owner}#"
    components: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(listed):
        ref = refs.get(each.get("bom-ref"), f"{owner}#{number}")
        components.setdefault(ref, {"bom-ref": ref, **{key: each[key] for key in _TAKEN if key in each}})
    edges = {
        refs[edge["ref"]]: sorted({refs[to] for to in edge.get("dependsOn", []) if to in refs} - {f"{owner}#"})
        for edge in bill.get("dependencies", [])
        if edge["ref"] in refs and refs[edge["ref"]] != f"{owner}#"
    }
    return list(components.values()), [{"ref": ref, "dependsOn": to} for ref, to in sorted(edges.items()) if to]


def _properties(**values: str | None) -> list[dict[str, str]]:
    return [{"name": f"slipway:{name}", "value": value} for name, value in values.items() if value]


def _purl(part: Unpacked) -> str:
    return f"pkg:pypi/{part.name}@{quote(part.version)}"


def _text(body: Mapping[str, Any]) -> bytes:
    """Write it, named after its own content: the same parts give the same serial number."""
    content = json.dumps(body, sort_keys=True)
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
    }
    rows = []
    for name, value in {**head, **body}.items():
        if isinstance(value, list) and value:  # a line each, so that `diff` is of use
            rows.append(f'"{name}": [\n' + ",\n".join(f" {json.dumps(item)}" for item in value) + "\n]")
        else:
            rows.append(f'"{name}": {json.dumps(value)}')
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()
