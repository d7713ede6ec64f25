"""Promises about the shape of the code, kept by looking at it."""

import ast
import importlib
from pathlib import Path

import pytest

import app

SOURCES = Path(app.__file__).parent
TESTS = Path(__file__).parent
FILES = sorted(SOURCES.rglob("*.py"))
FRAMEWORKS = {"flask", "falcon"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def has_logic(path: Path) -> bool:
    """Whether some function does more than say what it would do."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions
        for statement in function.body
    )


def mirror(path: Path) -> Path:
    relative = path.relative_to(SOURCES)
    if relative.parent == Path("migrations/versions"):
        return TESTS / "migrations" / "test_versions.py"
    return TESTS / relative.parent / f"test_{'init' if relative.stem == '__init__' else relative.stem}.py"


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 60
    assert sum(map(has_logic, FILES)) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_every_module_names_its_logger(path: Path) -> None:
    body = [
        node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Import | ast.ImportFrom | ast.If)
    ]
    assert isinstance(body[0], ast.Expr), "no docstring"
    assert ast.unparse(body[1]) == "logger = logging.getLogger(__name__)"


@pytest.mark.parametrize(
    "path", [path for path in FILES if has_logic(path)], ids=lambda path: str(path.relative_to(SOURCES))
)
def test_every_module_with_logic_has_a_test_file(path: Path) -> None:
    assert mirror(path).exists(), f"expected {mirror(path)}"
    assert "def test_" in mirror(path).read_text()


def test_every_test_file_mirrors_a_module() -> None:
    wanted = {mirror(path) for path in FILES}
    strays = set(TESTS.rglob("test_*.py")) - wanted - {Path(__file__)}
    assert not strays


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_imports_point_one_way(path: Path) -> None:
    found = imported(path)
    assert not found & {"deploy", "packaging", "salt", "tests"}
    if path.parent.name == "adapters":
        return
    assert not found & FRAMEWORKS - {"flask"}, "only adapters may import a framework"
    if path.parent.name != "pages" and not path.name.endswith("views.py") and path.name != "blueprints.py":
        assert "flask" not in found, "only adapters and pages may import Flask"


@pytest.mark.parametrize("kind", ["models.py", "services.py", "utils.py"])
def test_use_cases_know_neither_database_nor_delivery(kind: str) -> None:
    found = [path for path in FILES if path.name == kind]
    assert found
    for path in found:
        assert not imported(path) & {"sqlalchemy", "svcs", "werkzeug"}
        assert "app.web" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") < 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "versions" not in path.parts:
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_only_the_entry_points_read_the_environment() -> None:
    readers = {str(path.relative_to(SOURCES)) for path in FILES if "os.environ" in path.read_text()}
    assert readers == {
        "wsgi.py",
        "cli/config.py",
        "cli/environment.py",
        "cli/run.py",
        "cli/worker.py",
        "settings/model.py",
    }
    assert "import os" not in (SOURCES / "settings/model.py").read_text(), "a docstring names it, no code does"


def test_every_module_can_be_imported() -> None:
    """Except what runs when imported: the WSGI entry point and Alembic's env."""
    for path in FILES:
        if module_name(path) not in {"app.wsgi", "app.migrations.env"}:
            module = importlib.import_module(module_name(path))
            assert module.logger.name == module_name(path)
