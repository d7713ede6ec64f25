"""The one logging configuration of a process: ours, gunicorn's and every library's lines alike."""

import logging
import logging.config
from typing import Any

from app.settings import Settings

logger = logging.getLogger(__name__)

# gunicorn gives these handlers of its own before it loads the application; here they are told to pass lines on instead.
GUNICORN = ("gunicorn.error", "gunicorn.access")
# Their INFO lines repeat what ours say.
# Celery's: our lines say what job was done, and with which traceback one failed.
SILENT = ("celery.app.trace",)
QUIET = (
    "alembic.runtime.plugins",
    "alembic.runtime.migration",
    "werkzeug",
    "celery.apps.worker",
    "celery.worker.strategy",
)


def configure_logging(settings: Settings, stream: str = "ext://sys.stdout") -> None:
    """Send every line of this process to ``stream`` in the format that ``settings`` ask for."""
    # What no format of ours shows, and every line would pay for (docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logMultiprocessing = False
    logging.config.dictConfig(logging_config(settings, stream))
    logging.captureWarnings(True)


def logging_config(settings: Settings, stream: str) -> dict[str, Any]:
    """Return the configuration as ``logging.config.dictConfig`` takes it."""
    fixed = {
        "environment": settings.environment,
        "release": settings.release_version,
        "generation": settings.release_generation,
    }
    loggers: dict[str, Any] = {name: {"handlers": [], "propagate": True, "level": "NOTSET"} for name in GUNICORN}
    loggers |= {name: {"level": "WARNING"} for name in QUIET}
    loggers |= {name: {"level": "CRITICAL"} for name in SILENT}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": "app.logs.context.ContextFilter"}},
        "formatters": {
            "json": {"()": "app.logs.formatters.JsonFormatter", "fixed": fixed},
            "console": {"()": "app.logs.formatters.ConsoleFormatter"},
        },
        "handlers": {
            "stream": {
                "class": "logging.StreamHandler",
                "stream": stream,
                "formatter": settings.log_format,
                "filters": ["context"],
            }
        },
        "root": {"level": settings.log_level, "handlers": ["stream"]},
        "loggers": loggers,
    }
