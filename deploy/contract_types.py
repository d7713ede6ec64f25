"""The values that a contract may have, each checked where it is read."""

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Annotated

from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field

# The name becomes a unix user, systemd units, directories, an rpm, a database and an HAProxy backend.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_OBJECT = re.compile(rf"{_DOTTED}:{_DOTTED}")
# What gunicorn takes: an object, or a call of a factory with literals (gunicorn.util.import_app).
_SERVED = re.compile(rf"{_DOTTED}:{_DOTTED}(\([^()\n]*\))?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Z][A-Z0-9_]*")
# They stand in HAProxy's configuration, where blanks, quotes, # and \ mean something.
_FOLDER = re.compile(r"/([A-Za-z0-9._~-]+/)+")
_DRIVER = re.compile(r"postgres(ql)?(\+[a-z0-9]+)?|[a-z0-9]+\+postgres(ql)?")
# As Debian and rpm name packages.
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]+")
_REQUIREMENTS_FILE = re.compile(r".*(/|\.(txt|in|toml|cfg|py))|.*/.*")


def _name(value: str) -> str:
    if len(value) > 31 or not _NAME.fullmatch(value):
        raise ValueError(
            "expected at most 31 lower-case letters, digits and single hyphens, starting with a letter "
            "(it also names the unix user, the units and the database)"
        )
    return value


def _object(value: str) -> str:
    if not _OBJECT.fullmatch(value):
        raise ValueError('expected "module:object", as in "app.wsgi:application"')
    return value


def _served(value: str) -> str:
    if not _SERVED.fullmatch(value):
        raise ValueError('expected "module:object" or "module:factory()", as in "app.wsgi:application"')
    return value


def _python(value: str) -> str:
    if not re.fullmatch(r"3\.\d+", value):
        raise ValueError('expected a minor version of Python, as in "3.11"')
    return value


def _glibc(value: str) -> str:
    if not re.fullmatch(r"2\.\d+", value):
        raise ValueError('expected a version of the GNU C library, as in "2.36" (ldd --version says it)')
    return value


def _relative(value: str) -> str:
    if not value or PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
        raise ValueError("expected a path inside the repository, relative to its pyproject.toml or slipway.toml")
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a path that starts with /")
    return value


def _url_folder(value: str) -> str:
    if not _FOLDER.fullmatch(value) or ".." in value:
        raise ValueError('expected the path of a folder, as in "/static/"')
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError('expected an address or a network, as in "10.0.0.0/8"') from None


def _package(value: str) -> str:
    if not _PACKAGE.fullmatch(value):
        raise ValueError('expected the name of a package, as in "libpq5"')
    return value


def _requirement(value: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement  # here: few contracts have any

    try:
        Requirement(value)
    except InvalidRequirement:
        raise ValueError('expected a requirement, as in "flask>=3.1,<4"') from None
    return value


def is_file_of_requirements(value: str) -> bool:
    """Say whether an entry of `requirements` names a file, and not a distribution."""
    return bool(_REQUIREMENTS_FILE.fullmatch(value))


def _requirements(value: str) -> str:
    return _relative(value) if is_file_of_requirements(value) else _requirement(value)


def _version(value: str) -> str:
    try:
        Version(value)
    except InvalidVersion:
        raise ValueError('expected a version, as in "1.4.0"') from None
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError("expected the name of an environment variable: letters, digits and _")
    return value


def _secret(value: str) -> str:
    if not _SECRET.fullmatch(value):
        raise ValueError("expected the name of a secret: capital letters, digits and _, as in SECRET_KEY")
    return value


def _inside_state(value: str) -> str:
    if not value or PurePosixPath(value).is_absolute() or {"..", "."} & set(value.split("/")):
        raise ValueError("expected a path inside the state directory, relative to it")
    return value.rstrip("/")


def _driver(value: str) -> str:
    if not _DRIVER.fullmatch(value):
        raise ValueError('expected what PostgreSQL\'s address begins with, as in "postgresql" or "postgresql+psycopg"')
    return value


def _method(value: str) -> str:
    if not value.isalpha() or value != value.upper():
        raise ValueError('expected an HTTP method in capitals, as in "POST"')
    return value


Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[int, Field(ge=1)]
Status = Annotated[int, Field(ge=100, le=599)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, AfterValidator(_name)]
Driver = Annotated[str, AfterValidator(_driver)]
PythonMinor = Annotated[str, AfterValidator(_python)]
Glibc = Annotated[str, AfterValidator(_glibc)]
Method = Annotated[str, AfterValidator(_method)]
RequirementText = Annotated[str, AfterValidator(_requirement)]
Requirements = Annotated[str, AfterValidator(_requirements)]
VersionText = Annotated[str, AfterValidator(_version)]
VariableName = Annotated[str, AfterValidator(_variable)]
SecretName = Annotated[str, AfterValidator(_secret)]
StatePath = Annotated[str, AfterValidator(_inside_state)]
Served = Annotated[str, AfterValidator(_served)]
ObjectName = Annotated[str, AfterValidator(_object)]
RelativePath = Annotated[str, AfterValidator(_relative)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
UrlFolder = Annotated[str, AfterValidator(_url_folder)]
PackageName = Annotated[str, AfterValidator(_package)]
Network = Annotated[str, AfterValidator(_network)]
Arguments = Annotated[tuple[Text, ...], Field(min_length=1)]
