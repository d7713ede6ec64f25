"""Find in a migration what the old release, or a busy table, would not survive. It is read, never run.

Rules and their reasons: docs/reference/migrations.md. What is known only at run time (a table's name that is computed)
counts as a table that has been there and is busy.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

BREAKS, BLOCKS, MIXES = "breaks the old release", "blocks a busy table", "is no change of the schema"
STOPS = "can't be done again after a migrator was killed right behind it"
BOTH = ("expand", "contract")
OTHERS = "squawk:"  # exceptions for what `make check-migrations` asks, which judges them


@dataclass(frozen=True)
class Rule:
    """Something that is refused, in revisions of some kinds, unless the revision says why it may."""

    name: str
    reason: str
    instead: str
    kinds: tuple[str, ...] = BOTH


RULES = {
    rule.name: rule
    for rule in (
        Rule("drop-table", BREAKS, "do it in a contract revision", ("expand",)),
        Rule("drop-column", BREAKS, "do it in a contract revision", ("expand",)),
        Rule("rename", BREAKS, "add the new one, fill it, and drop the old one in a contract revision"),
        Rule("required-column", BREAKS, "give it server_default, or make it nullable", ("expand",)),
        Rule("not-null", BREAKS, "do it in a contract revision, behind a validated CHECK", ("expand",)),
        Rule("change-type", BLOCKS, "add a column of the new type, fill it, and drop the old one"),
        Rule("index", BLOCKS, "postgresql_concurrently=True, within op.get_context().autocommit_block()"),
        Rule("drop-index", BLOCKS, "postgresql_concurrently=True, within op.get_context().autocommit_block()"),
        Rule(
            "concurrently", BLOCKS, "put it within op.get_context().autocommit_block(): it can't run in a transaction"
        ),
        Rule("resumable", STOPS, "if_not_exists=True, or if_exists=True: what was cut off is dropped before"),
        Rule("unique", BLOCKS, "build a unique index concurrently, and make the constraint of it"),
        Rule("foreign-key", BLOCKS, "postgresql_not_valid=True, and VALIDATE CONSTRAINT in a later revision"),
        Rule("check", BLOCKS, "postgresql_not_valid=True, and VALIDATE CONSTRAINT in a later revision"),
        Rule("long-transaction", BLOCKS, "do it in a later revision: what was locked before it stays so until its end"),
        Rule("data", MIXES, "a job of its own fills rows, in batches"),
        Rule("sql", BREAKS, "use Alembic's operations, which can be read"),
    )
}
_DATA = re.compile(r"\s*(insert|update|delete|merge|truncate|copy)\b", re.IGNORECASE)
_SAFE_SQL = re.compile(
    r"\s*(select\b|set\s|comment\s+on\b|analyze\b|grant\b|create\s+(extension|schema|table|sequence|type)\b"
    r"|alter\s+table\s+\S+\s+validate\s+constraint\b|create\s+(unique\s+)?index\s+concurrently\b)",
    re.IGNORECASE,
)
_LONG = re.compile(
    r"\s*(alter\s+table\s+\S+\s+validate\s+constraint\b|select\b.*\sfrom\s|analyze\b)", re.IGNORECASE | re.DOTALL
)
_EXECUTE = ("execute", "exec_driver_sql", "scalar", "scalars")
_RESUMABLE = re.compile(r"\bconcurrently\s+if\s+(not\s+)?exists\b", re.IGNORECASE)
_CONCURRENTLY = re.compile(r"\bindex\s+concurrently\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """A rule that a revision breaks, and where."""

    rule: Rule
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.what} {self.rule.reason}; {self.rule.instead}"


@dataclass
class _Reading:
    """What was read of a revision so far."""

    functions: Mapping[str, ast.FunctionDef]
    made: set[str] = field(default_factory=set)  # tables that this revision makes: nobody uses them yet
    found: list[Finding] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)  # functions that are being read
    locked: str = ""  # a table that was there and that this transaction has locked

    def add(self, rule: str, node: ast.AST, what: str) -> None:
        self.found.append(Finding(RULES[rule], getattr(node, "lineno", 1), what))


def findings(module: ast.Module, kind: str) -> list[Finding]:
    """Read `upgrade` and what it calls; answer what a revision of this kind may not do."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    reading = _Reading(functions)
    if "upgrade" in functions:
        _function(functions["upgrade"], reading)
    return [found for found in reading.found if kind in found.rule.kinds]


def problems(module: ast.Module, kind: str, reviewed: Any, line: int) -> list[tuple[int, str]]:
    """Answer line and text of what is wrong; `reviewed` is the revision's own list of exceptions, rule to reason."""
    if reviewed is None:
        reviewed = {}
    if not isinstance(reviewed, dict) or not all(isinstance(r, str) and len(r) > 9 for r in reviewed.values()):
        return [(line, 'expected reviewed = {"rule": "why it is safe here"}, each with a reason')]
    found = findings(module, kind)
    wrong = [(each.line, str(each)) for each in found if each.rule.name not in reviewed]
    names = {each.rule.name for each in found}
    for name in reviewed:
        if name.startswith(OTHERS):
            continue
        if name not in RULES:
            wrong.append((line, f"reviewed: there is no rule {name!r}; rules: {', '.join(RULES)}"))
        elif name not in names:
            wrong.append((line, f"reviewed: {name!r} is not needed: remove it"))
    return wrong


def _function(function: ast.FunctionDef, reading: _Reading) -> None:
    if function.name in reading.inside:
        return
    reading.inside.append(function.name)
    _body(function.body, reading, {}, autocommit=False)
    reading.inside.pop()


def _body(body: list[ast.stmt], reading: _Reading, batches: Mapping[str, str], *, autocommit: bool) -> None:
    """Read statements in their order; `batches` maps names of batch operations to their tables."""
    for statement in body:
        if isinstance(statement, ast.With):
            inner, within = dict(batches), autocommit
            for item in statement.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and _name(call) == "autocommit_block":
                    within, reading.locked = True, ""  # what was done before is committed then
                elif _is_batch(call) and isinstance(item.optional_vars, ast.Name):
                    inner[item.optional_vars.id] = _text(call, 0, "table_name")
            _body(statement.body, reading, inner, autocommit=within)
            continue
        for call in _own_calls(statement):
            _call(call, reading, batches, autocommit=autocommit)
        for block in _blocks(statement):
            _body(block, reading, batches, autocommit=autocommit)


def _is_batch(node: ast.expr) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _name(node) == "batch_alter_table"


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
    for handler in getattr(statement, "handlers", []):
        yield handler.body


def _own_calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """Give the calls of a statement, outer ones first, without those of the statements within it."""
    waiting: list[ast.AST] = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Call):
            yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def _call(call: ast.Call, reading: _Reading, batches: Mapping[str, str], *, autocommit: bool) -> None:
    target = call.func
    if isinstance(target, ast.Name) and target.id in reading.functions:
        _function(reading.functions[target.id], reading)
        return
    if not isinstance(target, ast.Attribute):
        return
    owner = target.value.id if isinstance(target.value, ast.Name) else ""
    if target.attr in _EXECUTE:  # whoever does it: op, or a connection of its own
        _sql(call, reading, autocommit=autocommit)
    elif owner == "op":
        _operation(target.attr, call, reading, None, autocommit=autocommit)
    elif owner in batches:
        _operation(target.attr, call, reading, batches[owner], autocommit=autocommit)


def _operation(name: str, call: ast.Call, reading: _Reading, batch: str | None, *, autocommit: bool) -> None:
    """Judge one operation of Alembic; `batch` is the table of batch operations, which leave it out of their words."""
    first = 0 if batch is None else -1  # where the table stands among the arguments
    if name in ("create_table", "drop_table", "rename_table", "bulk_insert"):
        _whole_table(name, call, reading)
        table = "" if name.endswith("_table") and name != "create_table" else None
    elif name in _ON_COLUMNS:
        table = batch if batch is not None else _text(call, 0, "table_name")
        if table not in reading.made:
            _ON_COLUMNS[name](call, reading, first + 1)
    elif name in _ON_OTHERS:
        rule, position = _ON_OTHERS[name]
        table = batch if batch is not None else _text(call, position, "table_name", "source_table")
        if table not in reading.made and rule:
            _blocking(rule, call, reading, autocommit=autocommit)
    else:
        return
    if table is not None and table not in reading.made and not autocommit:
        reading.locked = reading.locked or table or "a table"


def _whole_table(name: str, call: ast.Call, reading: _Reading) -> None:
    if name == "create_table":
        reading.made |= {_text(call, 0, "table_name")} - {""}  # a name that is computed counts as one that was there
    elif name == "drop_table":
        reading.add("drop-table", call, f"dropping {_text(call, 0, 'table_name') or 'a table'}")
    elif name == "rename_table":
        reading.add("rename", call, f"renaming {_text(call, 0, 'old_table_name') or 'a table'}")
    elif not _fills_new_table(call, reading):
        reading.add("data", call, "filling a table that was there")


def _fills_new_table(call: ast.Call, reading: _Reading) -> bool:
    """Say whether rows go into a table that `op.create_table` has just made and given back."""
    return bool(reading.made) and bool(call.args) and isinstance(call.args[0], ast.Name)


def _add_column(call: ast.Call, reading: _Reading, position: int) -> None:
    column = call.args[position] if len(call.args) > position else _keyword(call, "column")
    if not isinstance(column, ast.Call):
        reading.add("required-column", call, "adding a column that can't be read here")
        return
    required = _constant(_keyword(column, "nullable")) is False or _constant(_keyword(column, "primary_key")) is True
    filled = _constant(_keyword(column, "server_default")) is not None or _has(column, ("Identity", "Computed"))
    name = _text(column, 0, "name")
    if required and not filled:
        reading.add("required-column", call, f"adding {name}, NOT NULL without a server_default,")
    if _constant(_keyword(column, "unique")) is True:
        reading.add("unique", call, f"adding {name} as unique")
    if _has(column, ("ForeignKey",)):
        reading.add("foreign-key", call, f"adding {name} with a foreign key")


def _alter_column(call: ast.Call, reading: _Reading, position: int) -> None:
    column = _text(call, position, "column_name") or "a column"
    if _keyword(call, "new_column_name") is not None:
        reading.add("rename", call, f"renaming {column}")
    if _keyword(call, "nullable") is not None and _constant(_keyword(call, "nullable")) is not True:
        reading.add("not-null", call, f"making {column} NOT NULL")
    if _keyword(call, "type_") is not None:
        reading.add("change-type", call, f"changing the type of {column}")


def _drop_column(call: ast.Call, reading: _Reading, position: int) -> None:
    reading.add("drop-column", call, f"dropping {_text(call, position, 'column_name') or 'a column'}")


_ON_COLUMNS = {"add_column": _add_column, "alter_column": _alter_column, "drop_column": _drop_column}
# Operation: the rule, and where the table stands among its arguments.
_ON_OTHERS = {
    "create_index": ("index", 1),
    "drop_index": ("drop-index", 1),
    "create_unique_constraint": ("unique", 1),
    "create_primary_key": ("unique", 1),
    "create_exclude_constraint": ("unique", 1),
    "create_foreign_key": ("foreign-key", 1),
    "create_check_constraint": ("check", 1),
    "drop_constraint": ("", 1),
}


def _blocking(rule: str, call: ast.Call, reading: _Reading, *, autocommit: bool) -> None:
    name = _text(call, 0, "index_name", "constraint_name") or "it"
    if rule in ("index", "drop-index"):
        verb = "building" if rule == "index" else "dropping"
        if _constant(_keyword(call, "postgresql_concurrently")) is not True:
            reading.add(rule, call, f"{verb} {name}")
        elif not autocommit:
            reading.add("concurrently", call, f"{verb} {name} concurrently")
        elif _constant(_keyword(call, "if_not_exists" if rule == "index" else "if_exists")) is not True:
            reading.add("resumable", call, f"{verb} {name} concurrently")
    elif rule == "unique":
        if _keyword(call, "postgresql_using_index") is None:
            reading.add(rule, call, f"making {name}")
    elif _constant(_keyword(call, "postgresql_not_valid")) is not True:
        reading.add(rule, call, f"making {name}")


def _sql(call: ast.Call, reading: _Reading, *, autocommit: bool) -> None:
    text = _sql_text(call.args[0]) if call.args else None
    if text is None:
        reading.add("sql", call, "SQL that can't be read here may be what")
        return
    for statement in filter(str.strip, text.split(";")):
        shown = " ".join(statement.split())[:40]
        if _DATA.match(statement):
            reading.add("data", call, f'"{shown}"')
        elif not _SAFE_SQL.match(statement):
            reading.add("sql", call, f'"{shown}" may be what')
        elif _CONCURRENTLY.search(statement) and not autocommit:
            reading.add("concurrently", call, f'"{shown}"')
        elif _CONCURRENTLY.search(statement) and not _RESUMABLE.search(statement):
            reading.add("resumable", call, f'"{shown}"')
        elif _LONG.match(statement) and reading.locked and not autocommit:
            reading.add("long-transaction", call, f'"{shown}", while {reading.locked} is locked,')


def _sql_text(node: ast.expr) -> str | None:
    """Read SQL out of a text, or of `sa.text("...")`."""
    if isinstance(node, ast.Call) and _name(node) == "text" and node.args:
        return _sql_text(node.args[0])
    value = _constant(node)
    return value if isinstance(value, str) else None


def _name(call: ast.Call) -> str:
    target = call.func
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def _text(call: ast.Call, position: int, *names: str) -> str:
    node = call.args[position] if len(call.args) > position else None
    for name in names:
        node = node if node is not None else _keyword(call, name)
    value = _constant(node)
    return value if isinstance(value, str) else ""


def _constant(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return ...


def _has(column: ast.Call, names: tuple[str, ...]) -> bool:
    return any(isinstance(each, ast.Call) and _name(each) in names for each in column.args)
