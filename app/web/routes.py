"""What an endpoint is, said once and without a framework."""

import enum
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import svcs
from pydantic import AfterValidator, BaseModel, ConfigDict
from typing_extensions import TypeForm

from app.errors import NotAuthenticated
from app.scopes import Scope

logger = logging.getLogger(__name__)

ComponentT = TypeVar("ComponentT")


def one_line(text: str) -> str:
    """Return text without control characters. Raises ValueError for one; PostgreSQL can't keep a NUL at all."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not have control characters")
    return text


Line = Annotated[str, AfterValidator(one_line)]


class Permission(enum.Enum):
    """Who may call an endpoint. Every route says so: there is no default to forget."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    ADMIN = "admin"


class Principal(Protocol):
    """Whoever makes a request, once authenticated."""

    @property
    def id(self) -> int:
        """The number under which logs know them."""
        ...

    @property
    def admin(self) -> bool:
        """Whether they may call what only admins may."""
        ...


class Authenticator(Protocol):
    """Recognises the owner of a token."""

    def authenticate(self, token: str, scope: Scope) -> Principal:
        """Return the token's owner. Raises NotAuthenticated, and NotAllowed for a token that is not for this use."""
        ...


class Input(BaseModel):
    """Base of request models: path and query parameters, or path parameters and JSON body, in one flat model."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class BodyInput(Input):
    """Base of request models with a JSON body: a misspelt member is an error, not silence."""

    model_config = ConfigDict(extra="forbid")


class Output(BaseModel):
    """Base of response models."""

    model_config = ConfigDict(frozen=True)

    def entity_tag(self) -> str:
        """Return the ETag of what has versions (app.web.conditional.version_tag); others get one from their bytes."""
        return ""


class NoInput(Input):
    """The request model of endpoints that take nothing."""


class NoOutput(Output):
    """The response model of endpoints that have nothing to say: with status 204 there is no body at all."""


@dataclass(frozen=True, slots=True)
class Content:
    """What an endpoint answers in another form than JSON: bytes of one of its route's ``media_types``.

    With a ``filename`` browsers save it under that name. ``headers`` are added as they are.
    """

    body: bytes
    media_type: str
    filename: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def body_of(output: Output | Content) -> bytes:
    """Return what is sent of an output: of the same one always the same bytes."""
    return output.body if isinstance(output, Content) else output.model_dump_json().encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is no JSON, as it came."""

    body: bytes
    media_type: str


InputT = TypeVar("InputT", bound=Input)
PrincipalT = TypeVar("PrincipalT", bound=Principal)


@dataclass(frozen=True, slots=True)
class Call(Generic[InputT]):
    """One call of an endpoint: the validated input, the components of this request, and who calls.

    ``upload`` is the body of a route that has ``uploads``; for others it is empty. ``if_match`` is that header.
    """

    input: InputT
    components: svcs.Container
    principal: Principal | None
    upload: Upload = Upload(b"", "")
    if_match: str = ""

    def get(self, component: TypeForm[ComponentT]) -> ComponentT:
        """Return this request's component of a type: a service, a repository, the settings."""
        return self.components.get(component)

    def signed_in(self, kind: type[PrincipalT]) -> PrincipalT:
        """Return who calls, where the route's permission has made sure that somebody does."""
        if not isinstance(self.principal, kind):
            raise NotAuthenticated("Sign in first.")
        return self.principal


@dataclass(frozen=True, slots=True)
class Route(Generic[InputT]):
    """One endpoint. ``path`` names its parameters in braces: ``/places/{place_id}``.

    ``endpoint`` turns a call into the response model by way of a use case; ``location`` gives the address of what a
    201 has created or a 202 has begun.

    ``media_types`` are those of the Content that the endpoint may return besides, or instead of, its model; ``uploads``
    those of a body that it takes as it comes, with input from the query. ``problems`` are statuses of refusals that
    don't follow from the rest of the route (see app.web.openapi). ``guarded`` marks a change that has to name the
    version it is meant for, in If-Match (app.web.conditional.wanted_version). ``limit`` names the rate limit that a
    call counts for. With ``idempotent``, a POST of somebody signed in honours Idempotency-Key: its answer is kept for a
    day, so it may hold no secret. ``in_steps`` says that others have to see what the use case commits before it
    returns: it asks for a job.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str
    summary: str
    permission: Permission
    input: type[InputT]
    output: type[Output]
    endpoint: Callable[[Call[InputT]], Output | Content]
    status: int = 200
    location: Callable[[Any], str] | None = None
    media_types: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    guarded: bool = False
    documented: bool = True
    limit: str = "api"
    idempotent: bool = False
    in_steps: bool = False

    @property
    def has_body(self) -> bool:
        """Whether the request has a body that is read."""
        return self.method in {"POST", "PUT", "PATCH"}

    @property
    def has_json_body(self) -> bool:
        """Whether input comes from a JSON body rather than from the query string."""
        return self.has_body and not self.uploads and bool(self.body_members)

    @property
    def body_members(self) -> set[str]:
        """The members of the JSON body: what the input has and the path has not."""
        return set(self.input.model_fields) - self.path_parameters

    @property
    def path_parameters(self) -> set[str]:
        """What the path has in braces."""
        return set(re.findall(r"{(\w+)}", self.path))

    @property
    def scope(self) -> Scope:
        """What an API token must be for."""
        if self.permission is Permission.ADMIN:
            return Scope.ADMIN
        return Scope.READ if self.method == "GET" else Scope.WRITE


RouteTable = tuple[Route[Any], ...]
