"""What Python files say, read without running them: what serves, routes, commands, variables, imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_SERVED = {"app", "application", "api", "wsgi"}
_MAKERS = {"Flask", "App", "API", "WSGIApp", "get_wsgi_application"}
_FACTORIES = ("create_app", "get_app", "make_app", "create_application", "app_factory", "build_app")
_ROUTE = {"route", "get", "add_url_rule", "add_route"}
_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|PRIVATE_KEY")
_PREPARES = re.compile(r"(init|create|setup)[-_]?(the[-_])?(db|database|tables|schema)")


@dataclass(frozen=True)
class Found:
    """Something, and where it stands."""

    what: str
    where: str  # file:line


@dataclass
class Facts:
    """What the files of an application say."""

    objects: list[Found] = field(default_factory=list)  # module:object
    factories: list[Found] = field(default_factory=list)  # module:factory()
    closed: list[Found] = field(default_factory=list)  # factories that want arguments
    routes: list[Found] = field(default_factory=list)
    commands: list[Found] = field(default_factory=list)  # click commands that prepare a database
    variables: dict[str, Found] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)  # of these, those without a default
    constants: list[Found] = field(default_factory=list)  # secrets with a value in the source
    imports: dict[str, Found] = field(default_factory=dict)
    instance: Found | None = None  # it keeps files in Flask's instance folder
    instance_config: Found | None = None  # the file that it reads there
    sqlite: Found | None = None
    migrates: Found | None = None  # it calls its migrations by itself
    unread: list[str] = field(default_factory=list)


def is_secret(name: str) -> bool:
    """Say whether a variable of that name is one."""
    return bool(_SECRET.search(name))


def module_of(path: str) -> str:
    """Name the module of a file, seen from the folder that Python finds it in."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    parts = parts[1:] if parts[0] in ("src", "lib") else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(path: str, text: str, facts: Facts) -> None:
    """Add what one file says."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        facts.unread.append(path)
        return
    module = module_of(path)
    for statement in tree.body:
        _top(statement, module, path, facts)
    for node in ast.walk(tree):
        where = f"{path}:{getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _imported(node):
                facts.imports.setdefault(name, Found(name, where))
        elif isinstance(node, ast.Subscript):
            _subscript(node, where, facts)
        elif isinstance(node, ast.Call):
            _call(node, where, facts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("sqlite:"):
            facts.sqlite = facts.sqlite or Found(node.value, where)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            facts.commands += [Found(name, where) for name in _commands(node) if _PREPARES.fullmatch(name)]
    if "sqlite3" in facts.imports:
        facts.sqlite = facts.sqlite or facts.imports["sqlite3"]


def _top(node: ast.stmt, module: str, path: str, facts: Facts) -> None:
    """Look for what gunicorn could serve: an object, or a factory that needs nothing."""
    where = f"{path}:{node.lineno}"
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        made = _name(node.value.func)
        for target in node.targets:
            name = target.id if isinstance(target, ast.Name) else ""
            if name and (name in _SERVED or made in _MAKERS) and (made in _MAKERS or made in _FACTORIES):
                facts.objects.append(Found(f"{module}:{name}", where))
            if name and is_secret(name) and isinstance(node.value, ast.Constant):
                facts.constants.append(Found(name, where))
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        facts.constants += [Found(name, where) for name in names if name == "SECRET_KEY" and node.value.value]
    elif isinstance(node, ast.FunctionDef) and node.name in _FACTORIES:
        taken = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
        kept = facts.factories if taken <= 0 and None not in node.args.kw_defaults else facts.closed
        kept.append(Found(f"{module}:{node.name}()", where))


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif node.module and not node.level:
        yield node.module.split(".")[0]


def _subscript(node: ast.Subscript, where: str, facts: Facts) -> None:
    """Note `os.environ["NAME"]`."""
    if _is_environ(node.value) and (name := _text(node.slice)) and isinstance(node.ctx, ast.Load):
        facts.variables.setdefault(name, Found(name, where))
        facts.required.add(name)


def _call(node: ast.Call, where: str, facts: Facts) -> None:
    called, first = _name(node.func), _text(node.args[0]) if node.args else ""
    if called == "getenv" or (called in ("get", "pop") and _is_environ(getattr(node.func, "value", None))):
        if first:
            facts.variables.setdefault(first, Found(first, where))
            if len(node.args) == 1 and not node.keywords and is_secret(first):
                facts.required.add(first)
    elif called == "from_envvar" and first:
        facts.variables.setdefault(first, Found(first, where))
    elif called in _ROUTE and first.startswith("/"):
        facts.routes.append(Found(first, where))
    elif called == "from_pyfile" and first and not first.startswith("/"):
        facts.instance_config = facts.instance_config or Found(first, where)
    elif called == "upgrade" and isinstance(node.func, ast.Name):
        facts.migrates = facts.migrates or Found("upgrade()", where)
    for word in node.keywords:
        if word.arg == "instance_relative_config" and getattr(word.value, "value", False) is True:
            facts.instance = facts.instance or Found("instance", where)
        if word.arg == "SECRET_KEY" and _text(word.value):
            facts.constants.append(Found("SECRET_KEY", f"{where.rpartition(':')[0]}:{word.value.lineno}"))


def _commands(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Name the click command that a function is."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if _name(call.func if call else decorator) in ("command", "cli_command"):
            yield (_text(call.args[0]) if call and call.args else "") or node.name.replace("_", "-")


def _is_environ(node: ast.AST | None) -> bool:
    """Say whether it is `os.environ`; a bare `environ` is WSGI's as often as not."""
    return isinstance(node, ast.Attribute) and node.attr == "environ" and _name(node.value) == "os"


def _name(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def foreign(facts: Facts, own: set[str]) -> list[Found]:
    """List imports that neither Python nor the application itself brings."""
    return [found for name, found in sorted(facts.imports.items()) if name not in own | set(sys.stdlib_module_names)]
