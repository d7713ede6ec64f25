"""Idempotency-Key on POST: a request that is sent again, because its answer got lost, is not carried out again.

(draft-ietf-httpapi-idempotency-key-header.) Key, what was asked for, and the answer are one transaction: all is there,
or nothing, however the process dies. Where others have to see what is done before the answer (Route.in_steps), the
answer comes in a transaction of its own, and may be lost; that is said, and nothing is done twice.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError

from app.web.messages import Request, Response
from app.web.problems import BadRequest
from app.web.routes import Call, Principal, Route

logger = logging.getLogger(__name__)

HEADER = "idempotency-key"
REPLAYED = {"Idempotency-Replayed": "true"}
KEY = re.compile(r'"([\x20\x21\x23-\x7e]{1,200})"|([\x21\x23-\x7e]{1,200})')
KEPT = {"location", "cache-control"}


class Kept(Protocol):
    """What was asked for with a key, and the answer; None while there is none."""

    @property
    def fingerprint(self) -> str:
        """The digest of what was asked for."""
        ...

    @property
    def text(self) -> str | None:
        """The answer."""
        ...

    @property
    def lost(self) -> bool:
        """Whether there will be none any more."""
        ...


class KeptAnswers(Protocol):
    """Keeps answers for a while."""

    def claim(self, user_id: int, key_digest: str, fingerprint: str, *, whole: bool) -> Kept | None:
        """Claim a key in the request's transaction, which begins here; return what is kept if it was claimed before.

        With ``whole`` it ends with ``keep``, whatever the use case commits.
        """
        ...

    def keep(self, user_id: int, key_digest: str, text: str) -> None:
        """Keep the answer, and make all of it last."""
        ...

    def release(self, user_id: int, key_digest: str) -> None:
        """Undo what was not committed, and let the key be claimed again."""
        ...


def once(
    route: Route[Any], request: Request, call: Call[Any], principal: Principal, act: Callable[[], Response]
) -> Response:
    """Carry a request out, unless one with the same key was: then return its answer again. Raises BadRequest."""
    given = request.headers.get(HEADER)
    if given is None:
        return act()
    answers: KeptAnswers = call.components.get(KeptAnswers)
    key, asked = key_digest(given), fingerprint(route, request)
    before = answers.claim(principal.id, key, asked, whole=not route.in_steps)
    if before is not None:
        return again(before, asked)
    try:
        response = act()
    except DBAPIError:  # the key is gone with what was not committed; what was must not be done again
        raise
    except BaseException:
        answers.release(principal.id, key)
        raise
    answers.keep(principal.id, key, packed(response))
    return response


def again(before: Kept, asked: str) -> Response:
    """Return the answer that was given before. Raises BadRequest if there is none, or it is to another request."""
    if before.fingerprint != asked:
        raise BadRequest(422, "This Idempotency-Key was used for another request; make a new one for each.")
    if before.lost:
        detail = "The request with this Idempotency-Key ended without an answer. Look what it has done; make a new key."
        raise BadRequest(409, detail)
    if before.text is None:
        detail = "A request with this Idempotency-Key is at work, or ended without an answer; ask again."
        raise BadRequest(409, detail, headers={"Retry-After": "1"})
    return unpacked(before.text)


def key_digest(header: str) -> str:
    """Return the digest of a key, quoted or not. Raises BadRequest for what is none."""
    match = KEY.fullmatch(header.strip())
    if match is None:
        raise BadRequest(400, 'Idempotency-Key must be a string of 1 to 200 characters in quotes, such as "8e03978e".')
    return hashlib.sha256((match[1] or match[2]).encode()).hexdigest()


def fingerprint(route: Route[Any], request: Request) -> str:
    """Return a digest of all that a request asks for."""
    asked = [route.name, dict(request.path), {name: list(values) for name, values in request.query.items()}]
    head = json.dumps([*asked, request.media_type], sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(head).digest() + request.body).hexdigest()


def packed(response: Response) -> str:
    """Write an answer as text."""
    headers = {name: value for name, value in response.headers.items() if name.lower() in KEPT}
    return json.dumps([response.status, response.body.decode(), response.content_type, headers], ensure_ascii=False)


def unpacked(answer: str) -> Response:
    """Read it again; it says that it is not new."""
    status, body, content_type, headers = json.loads(answer)
    return Response(status, body.encode(), content_type, {**headers, **REPLAYED})
