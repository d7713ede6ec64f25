"""Give each request an id, mark log lines with it, and send it back."""

import logging
import os
import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.logs.context import request_context
from app.middleware.environ import REQUEST_ID, watched

logger = logging.getLogger(__name__)

ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Take the id that the load balancer sent, if it is a harmless one; make one otherwise.

    Only what happens before the body is iterated is marked: bodies here are complete by then.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        identifier = given if ACCEPTED.fullmatch(given) else os.urandom(16).hex()
        environ[REQUEST_ID] = identifier
        with request_context(identifier):
            return watched(
                self.app,
                environ,
                start_response,
                edit=lambda headers: headers.append(("X-Request-ID", identifier)),
            )
