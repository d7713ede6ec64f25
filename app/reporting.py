"""Errors to Sentry, if a variable says where: every line that is logged as an error, in web servers and workers alike.

No personal data goes along: no bodies, no addresses, no values of local variables, as in logs. The package is in
releases with the extra ``sentry`` only.
"""

import logging
from typing import Any

from app.about import NAME, installed_version
from app.logs.context import request_id
from app.settings import Settings

logger = logging.getLogger(__name__)


def report_errors(settings: Settings) -> None:
    """Begin to report, if SENTRY_DSN is set. Nothing is sent, and no thread begins, before the first error."""
    if settings.sentry_dsn is None:
        return
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.environment,
        release=f"{NAME}@{settings.release_version or installed_version()}",
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
        default_integrations=False,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=lambda event, hint: marked(event, settings.release_generation),
    )


def marked(event: Any, generation: str) -> Any:
    """Give an event the id by which logs and the load balancer know its request."""
    known = {"request_id": request_id.get(), "generation": generation}
    event.setdefault("tags", {}).update({name: value for name, value in known.items() if value})
    return event
