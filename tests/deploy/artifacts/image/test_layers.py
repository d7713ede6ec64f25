"""Which file lies in which layer, and what the entrypoint is filled with: decided without any engine."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import manifest as agent_manifest
from deploy.agent.supervisors import serving
from deploy.artifacts import ReleaseTree, units
from deploy.artifacts.image import layers
from deploy.artifacts.image.layers import Entry, Parts
from tests.support import releases

NAME = "gazetteer"
SITE = f"opt/{NAME}/release/lib/python3.11/site-packages"
FILES = units.TEMPLATES / "image"
TEMPLATE = (FILES / "entrypoint.sh.in").read_text()


@pytest.fixture(scope="module")
def release() -> ReleaseTree:
    return releases.base()


@pytest.fixture(scope="module")
def parts(release: ReleaseTree) -> Parts:
    return layers.split(release.path, FILES)


def content(entry: Entry) -> bytes:
    return entry.data if entry.source is None else entry.source.read_bytes()


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "name": "shop",
        "version": "1.4",
        "distributions": {"gunicorn": "27.0.1"},
        "contract": {
            "app": "shop:app",
            "server": {"workers": 3, "threads": 4, "timeout": 5, "graceful_timeout": 6, "keepalive": 7},
            "health": {"live": "/up", "ready": "/can serve", "host": "shop.example"},
            "commands": {"migrate": ["-m", "shop", "it's time"]},
        },
        "files": [],
        **changes,
    }


def test_every_file_of_the_release_is_in_one_of_the_layers_as_it_is(release: ReleaseTree, parts: Parts) -> None:
    top = f"opt/{NAME}/release/"
    both = [entry for part in parts for entry in part if entry.path.startswith(top)]
    files = {e.path.removeprefix(top): e for e in both if e.source is not None or e.link is not None}
    assert len(files) == len([e for e in both if e.source is not None or e.link is not None]), "in both layers"
    assert files.pop("manifest.json").source == release.path / "manifest.json"
    listed = {entry["path"]: entry for entry in release.manifest.data["files"]}
    assert listed.keys() <= files.keys()
    for path, entry in listed.items():
        if "link" in entry:
            assert files[path].link == entry["link"]
        else:
            data = content(files[path])
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"]), path
            assert files[path].mode == int(entry["mode"], 8)


def test_the_app_is_what_its_wheel_brought_and_what_names_this_version(parts: Parts, release: ReleaseTree) -> None:
    app = {entry.path for entry in parts.app if entry.source or entry.data or entry.link}
    info = f"{SITE}/{NAME.replace('-', '_')}-{release.version}.dist-info/"
    inside = {path for path in app if path.startswith((f"{SITE}/app/", info))}
    assert f"{info}RECORD" in inside
    assert f"{SITE}/app/__pycache__/wsgi.cpython-311.pyc" in inside
    assert {f"opt/{NAME}/release/bin/{NAME}", f"opt/{NAME}/release/manifest.json"} <= app - inside
    assert f"opt/{NAME}/releases/{release.version}" in app
    dependencies = {entry.path for entry in parts.dependencies}
    assert {f"opt/{NAME}/release/bin/python", f"opt/{NAME}/release/pyvenv.cfg"} <= dependencies
    assert not [path for path in dependencies if release.version in path or f"{SITE}/app" in path]


def test_another_version_has_the_very_same_dependencies(parts: Parts) -> None:
    changed = (releases.ROOT / "app/__main__.py").read_text() + "\nLATER = True\n"
    later = layers.split(releases.variant("later", {"app/__main__.py": changed}).path, FILES)
    assert [content(e) if e.source else e for e in later.dependencies] == [
        content(e) if e.source else e for e in parts.dependencies
    ]


def test_members_are_sorted_folders_first_and_belong_to_root(parts: Parts) -> None:
    for part in parts:
        paths = [entry.path for entry in part]
        assert paths == sorted(set(paths))
        assert all(str(Path(path).parent) in {*paths, "."} for path in paths)
    owned = [entry.path for part in parts for entry in part if entry.owner]
    assert owned == [f"var/lib/{NAME}"]


def test_the_entrypoint_is_filled_quoted_and_a_shell_can_read_it() -> None:
    text = layers.entrypoint(TEMPLATE, manifest()).decode()
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
    assert "@" not in text.replace('"$@"', "")
    assert "release=/opt/shop/releases/1.4\n" in text
    assert """exec "$python" -m shop 'it'"'"'s time' ;;""" in text
    assert "ready='/can serve'\n" in text
    assert 'health) exec "$python" -ISB /usr/local/lib/slipway/healthcheck.py' in text


def test_each_branch_of_the_entrypoint_becomes_its_program() -> None:
    branches = TEMPLATE.partition("case ")[2].splitlines()[1:-1]
    assert [line.split(")")[0].strip() for line in branches] == [
        "serve", "worker", "scheduler", "migrate", "seed", "health", "*"
    ]  # fmt: skip
    assert all(line.split(") ", 1)[1].startswith("exec ") for line in branches)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed", "the contract of this app has no command 'seed': [tool.slipway.commands]"),
        ("worker", "the contract of this app has no process 'worker': [tool.slipway.processes.worker]"),
    ],
)
def test_what_the_contract_lacks_says_so(word: str, said: str) -> None:
    text = layers.entrypoint(TEMPLATE.replace("@release@", "/nowhere"), manifest()).decode()
    text = text.replace("python=$release/bin/python", "python=/usr/bin/python3.11")
    done = subprocess.run(["sh", "-c", text, "entrypoint", word], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, said)


def test_a_worker_is_what_the_contract_says() -> None:
    described = manifest()
    described["contract"]["processes"] = {"worker": {"command": ["-m", "shop", "work"], "stop_seconds": 60}}
    assert 'worker) exec "$python" -m shop work ;;' in layers.entrypoint(TEMPLATE, described).decode()


@pytest.mark.parametrize(("files", "program"), [([], "python"), ([{"path": "bin/shop"}], "shop")])
def test_any_other_word_goes_to_the_command_line_of_the_app(files: list[dict[str, str]], program: str) -> None:
    text = layers.entrypoint(TEMPLATE, manifest(files=files)).decode()
    assert f'*) exec /opt/shop/releases/1.4/bin/{program} "$@" ;;' in text


def test_gunicorn_gets_what_the_agent_gives_it(release: ReleaseTree) -> None:
    on_server = serving.gunicorn(agent_manifest.parse(release.manifest.text.encode()), "python", NAME)
    assert list(layers.gunicorn(json.loads(release.manifest.text))) == on_server[3:]
