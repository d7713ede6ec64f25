"""A small application with a contract, made in a second: the builder's own guinea pig."""

import hashlib
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from tests.support.releases import change, commit, git

PYPROJECT = """\
[build-system]
requires = ["setuptools", "setuptools-scm"]
build-backend = "setuptools.build_meta"

[project]
name = "sample-shop"
dynamic = ["version"]
dependencies = ["pebble>=1"]

[project.scripts]
shop = "shop.cli:main"

[tool.slipway]
app = "shop.wsgi:application"
python = "3.11"
lock = "locks/shop.txt"

[tool.slipway.commands]
migrate = ["-m", "shop", "migrate"]

[tool.slipway.migrations]
path = "shop/migrations"

[tool.setuptools]
packages = ["shop", "shop.migrations"]

[tool.setuptools.package-data]
"*" = ["*.txt"]

[tool.setuptools_scm]
fallback_version = "0.1.0"
local_scheme = "no-local-version"
tag_regex = '^v(?P<version>\\d+(?:\\.\\d+)+.*)$'
"""
MIGRATION = '''"""{summary}

More words.
"""

revision = "{revision}"
down_revision = {down!r}
kind = "{kind}"
'''
FILES = {
    "pyproject.toml": PYPROJECT,
    ".gitignore": "*.pyc\n__pycache__/\n/dist/\n/shop/local.py\n",
    "LICENSE": "Take it.\n",
    "notes/idea.txt": "not shipped\n",
    "shop/__init__.py": "",
    "shop/__main__.py": "from shop.cli import main\n\nmain()\n",
    "shop/cli.py": "import sys\n\nimport pebble\n\n\ndef main():\n    print('shop', pebble.COLOUR, *sys.argv[1:])\n",
    "shop/prices.txt": "apple 3\n",
    "shop/wsgi.py": "import os\n\napplication = os.environ['SHOP']\n",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_start.py": MIGRATION.format(summary="Begin.", revision="0001", down=None, kind="expand"),
    "shop/migrations/0002_more.py": MIGRATION.format(summary="Add.", revision="0002", down="0001", kind="contract"),
}


@dataclass(frozen=True)
class Sample:
    """The sample's checkout, and the folder where pip finds its dependency."""

    root: Path
    wheels: Path

    def change(self, **changes: str | None) -> None:
        """Write files; `__` in a name stands for `/`, and a name without a dot gets `.py`."""
        names = {name: name.replace("__", "/") for name in changes}
        change(self.root, {p if "." in p else f"{p}.py": changes[n] for n, p in names.items()})

    def write(self, path: str, text: str | None) -> None:
        """Write a file, or delete it."""
        change(self.root, {path: text})

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that has to be there."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))

    def commit(self, message: str = "change") -> str:
        """Commit everything."""
        return commit(self.root, message)

    def git(self, *arguments: str) -> str:
        """Run git in the checkout."""
        return git(self.root, *arguments)


def make(folder: Path) -> Sample:
    """Make the sample with one commit, its lock and its dependency."""
    sample = Sample(folder / "shop", folder / "wheels")
    sample.root.mkdir(parents=True)
    sample.wheels.mkdir()
    change(sample.root, FILES)
    pebble = make_wheel(sample.wheels, "pebble", "1.2", {"pebble.py": "COLOUR = 'grey'\n"})
    sample.write("locks/shop.txt", lock_of(pebble))
    sample.git("init", "--quiet", "--initial-branch", "main")
    sample.commit("start")
    return sample


def lock_of(*wheels: Path) -> str:
    """Write a lock file of wheels."""
    lines = ["# made by: make lock"]
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines += [f"{name}=={version} \\", f"    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"]
        lines += ["    # via sample-shop"]
    return "\n".join(lines) + "\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: dict[str, str],
    tag: str = "py3-none-any",
    metadata: str = "",
    info: dict[str, str] | None = None,
) -> Path:
    """Write a wheel by hand, always with the same bytes."""
    start = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{start}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{start}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **{f"{start}/{path}": text for path, text in (info or {}).items()},
    }
    record = "".join(f'"{path}",sha256={_hash(text)},{len(text.encode())}\n' for path, text in files.items())
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{start}/RECORD": f"{record}{start}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = (0o100755 if "/scripts/" in member else 0o100644) << 16
            archive.writestr(entry, text)
    return path


def _hash(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
