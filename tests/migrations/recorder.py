"""The application as gunicorn serves it, with each statement written down: what `make record` makes a recording of.

It stands here and not in the application, so that no setting of a server can make it write rows of real people down.
"""

from __future__ import annotations

import json
import os
from typing import Any

from sqlalchemy import Engine, event

from app.rehearsal.recording import encoded
from app.wsgi import application
from tests.migrations.synthetic import TRACE

__all__ = ["application"]

OTHERS = ("SAVEPOINT ", "RELEASE ", "ROLLBACK ", "BEGIN", "PRAGMA ", "SET ", "SHOW ")


def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    """Append a statement, in one write: several processes have the file open."""
    if statement.lstrip().upper().startswith(OTHERS):
        return
    line = json.dumps({"sql": statement, "values": [told(each) for each in (parameters if many else [parameters])]})
    descriptor = os.open(os.environ[TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def told(parameters: Any) -> Any:
    """Return parameters as a trace has them; psycopg wraps bytes."""
    if isinstance(parameters, dict):
        return {name: encoded(getattr(each, "obj", each)) for name, each in parameters.items()}
    return [encoded(getattr(each, "obj", each)) for each in parameters]


event.listen(Engine, "before_cursor_execute", note)
