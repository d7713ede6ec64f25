"""The bill of materials says what ships, in the form that the standard's own schema accepts."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts import ReleaseTree, build_release
from deploy.artifacts.cache import Cache
from deploy.artifacts.supply import sbom
from deploy.artifacts.supply.sbom import SbomError
from tests.support import releases
from tests.support.sample import Sample, lock_of, make_wheel

INNER = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "metadata": {"component": {"bom-ref": "path+file:///build/gravel", "name": "gravel", "type": "library"}},
    "components": [
        {"bom-ref": "r#a", "type": "library", "name": "quartz", "version": "2.0", "purl": "pkg:cargo/quartz@2.0"},
        {"bom-ref": "r#b", "type": "library", "name": "grit", "version": "1.0", "description": "small"},
        {"bom-ref": "r#c", "type": "library", "name": "kiln", "version": "1.0", "scope": "excluded"},
    ],
    "dependencies": [
        {"ref": "path+file:///build/gravel", "dependsOn": ["r#a"]},
        {"ref": "r#a", "dependsOn": ["r#b", "r#c"]},
    ],
}


def problems(text: str) -> list[str]:
    """What the published schema says against a bill."""
    with warnings.catch_warnings():  # of the validator's own dependencies
        warnings.simplefilter("ignore")
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return [] if found is None else [str(found)]


def bill(built: ReleaseTree) -> dict[str, Any]:
    return dict(json.loads((built.path / sbom.FILE).read_text()))


def add(sample: Sample, bring: dict[str, str] | None = None, **options: Any) -> None:
    """Let the sample's dependency need another one."""
    gravel = make_wheel(sample.wheels, "gravel", "1.0", {"gravel.py": ""}, info=bring, **options)
    needs = "Requires-Dist: gravel[fine]\nRequires-Dist: sand; extra == 'beach'\nProvides-Extra: beach\n"
    pebble = make_wheel(sample.wheels, "pebble", "1.3", {"pebble.py": "COLOUR = 'grey'\n"}, metadata=needs)
    sample.write("locks/shop.txt", lock_of(pebble, gravel))


def test_the_reference_applications_bill_passes_the_schema() -> None:
    built = releases.base()
    text = (built.path / sbom.FILE).read_text()
    assert problems(text) == []
    data = json.loads(text)
    listed = {component["name"]: component for component in data["components"]}
    assert set(listed) | {"gazetteer"} == set(built.manifest.data["distributions"])
    assert listed["flask"]["licenses"] == [{"expression": "BSD-3-Clause", "acknowledgement": "declared"}]
    assert all(component.get("licenses") for component in listed.values())
    crates = {inner["name"] for inner in listed["pydantic-core"]["components"]}
    assert "pyo3" in crates
    edges = {edge["ref"]: edge["dependsOn"] for edge in data["dependencies"]}
    assert any(ref.startswith("pkg:pypi/werkzeug@") for ref in edges[listed["flask"]["bom-ref"]])


def test_says_what_ships_and_from_which_wheel(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    data = bill(built)
    root, (pebble,) = data["metadata"]["component"], data["components"]
    assert (root["type"], root["name"], root["version"]) == ("application", "sample-shop", built.version)
    assert root["purl"] == f"pkg:generic/sample-shop@{built.version.replace('+', '%2B')}"
    assert pebble["purl"] == "pkg:pypi/pebble@1.2"
    assert pebble["hashes"][0]["content"] in (sample.root / "locks/shop.txt").read_text()
    assert {"name": "slipway:wheel", "value": "pebble-1.2-py3-none-any.whl"} in pebble["properties"]
    assert {"ref": root["bom-ref"], "dependsOn": [pebble["bom-ref"]]} in data["dependencies"]
    assert data["metadata"]["timestamp"] == "2026-01-01T00:00:00Z"
    entry = next(each for each in built.manifest.data["files"] if each["path"] == sbom.FILE)
    assert entry["size"] == (built.path / sbom.FILE).stat().st_size
    assert problems(json.dumps(data)) == []


def test_is_named_after_its_content(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    first = build_release(sample.root, None, tmp_path / "one", cache)
    again = build_release(sample.root, None, tmp_path / "two", cache)
    assert (first.path / sbom.FILE).read_bytes() == (again.path / sbom.FILE).read_bytes()
    sample.write("shop/prices.txt", "pear 4\n")
    other = build_release(sample.root, None, tmp_path / "one", cache)
    assert bill(first)["serialNumber"] != bill(other)["serialNumber"]


def test_follows_extras_that_are_asked_for_and_no_others(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    add(sample, metadata="Requires-Dist: pebble; extra == 'fine'\nProvides-Extra: fine\n")
    edges = {e["ref"]: e["dependsOn"] for e in bill(build_release(sample.root, None, tmp_path, cache))["dependencies"]}
    assert edges["pkg:pypi/pebble@1.3"] == ["pkg:pypi/gravel@1.0"]
    assert edges["pkg:pypi/gravel@1.0"] == ["pkg:pypi/pebble@1.3"]


def test_takes_over_the_bill_that_a_wheel_brings(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    add(sample, {"sboms/inner.cdx.json": json.dumps(INNER)})
    built = build_release(sample.root, None, tmp_path, cache)
    data = bill(built)
    gravel = next(each for each in data["components"] if each["name"] == "gravel")
    assert [each["bom-ref"] for each in gravel["components"]] == ["gravel#quartz@2.0", "gravel#grit@1.0"]
    assert {"ref": "gravel#quartz@2.0", "dependsOn": ["gravel#grit@1.0"]} in data["dependencies"]
    (reference,) = gravel["externalReferences"]
    assert json.loads((built.path / reference["url"]).read_text()) == INNER
    assert "/build/" not in json.dumps(data)
    assert problems(json.dumps(data)) == []


def test_a_bill_that_cannot_be_read_is_named(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    add(sample, {"sboms/inner.cdx.json": "[]"})
    with pytest.raises(SbomError, match=r"gravel-1\.0-py3-none-any\.whl: inner\.cdx\.json: expected CycloneDX"):
        build_release(sample.root, None, tmp_path, cache)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"expression": ["mit OR apache-2.0"]}, "MIT OR Apache-2.0"),
        ({"text": ["BSD-3-Clause"]}, "BSD-3-Clause"),
        ({"text": ["The MIT License"], "classifiers": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"classifiers": ["License :: OSI Approved :: BSD License"]}, ["BSD License"]),
        ({"text": ["Copyright (c) 2020\n\nAll rights"]}, ["Copyright (c) 2020"]),
        ({}, []),
    ],
)
def test_licences_are_spdx_where_that_is_sure(said: dict[str, list[str]], expected: str | list[str]) -> None:
    found = sbom.licences({"expression": [], "text": [], "classifiers": [], **said})
    if isinstance(expected, str):
        assert [each["expression"] for each in found] == [expected]
    else:
        assert [each["license"]["name"] for each in found] == expected
