"""How a log line looks: JSON for machines, one readable line for a terminal."""

import json
import logging
import re
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pydantic_core import to_json

logger = logging.getLogger(__name__)

# What every LogRecord has; everything else on a record came from ``extra=``.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "user_id"}

# Databases repeat rows in their errors: PostgreSQL in DETAIL, which may have several lines, MariaDB in its message.
ROWS = re.compile(
    r"(?<=^DETAIL:  ).*?(?=^(?:HINT|CONTEXT|QUERY|STATEMENT): |^\[SQL: |^\(Background on |^Traceback |^$|\Z)"
    r"|(?<=Duplicate entry ').*?(?=' for key )",
    re.MULTILINE | re.DOTALL,
)

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

encode_slowly = json.JSONEncoder(ensure_ascii=False, default=str).encode


def encode(line: dict[str, Any]) -> str:
    """Return a line as JSON: a request's cost is its log line's for a good part, and pydantic needs a third of it."""
    try:
        return to_json(line, fallback=str, inf_nan_mode="constants").decode()
    except ValueError:  # half of a surrogate pair, which somebody sent
        return encode_slowly(line)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave as ``extra=``."""
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


class WithoutRows(logging.Formatter):
    """Tells of an exception what it is and where it was raised, and nothing of the rows that a database refused."""

    def formatException(self, ei: Raised) -> str:  # noqa: N802 - the name logging calls
        return ROWS.sub(
            lambda found: "(left out)\n" if found[0].endswith("\n") else "(left out)", super().formatException(ei)
        )


class JsonFormatter(WithoutRows):
    """One JSON object a line; ``fixed`` fields (release, generation, environment) are part of each."""

    def __init__(self, fixed: dict[str, str]) -> None:
        super().__init__()
        self.fixed = {name: value for name, value in fixed.items() if value}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "source": f"{record.filename}:{record.lineno}",
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", None),
            "user_id": getattr(record, "user_id", None),
            "pid": record.process,
            **self.fixed,
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return encode(line)


class ConsoleFormatter(WithoutRows):
    """A line for a person: time, level, logger, message, then what else is known."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(filename)s:%(lineno)d: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name logging calls
        details = {"request_id": getattr(record, "request_id", None), **extras(record)}
        shown = " ".join(f"{name}={value}" for name, value in details.items() if value is not None)
        return f"{super().formatMessage(record)} {shown}".rstrip()
