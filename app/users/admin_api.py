"""The endpoints of admins: see everybody and change them."""

import logging
from typing import Annotated, Any, Literal

from pydantic import Field

from app.users.admin import UserAdmin
from app.users.api import CreateUserInput, Email, Language, Name, UserInput, UserOutput
from app.users.models import Role, Sort, User, UserChanges, UserQuery
from app.users.services import Users
from app.web.paging import Cursors, Page, PageInput
from app.web.routes import BodyInput, Call, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

SortedBy = Literal["email", "-email", "name", "-name", "created_at", "-created_at", "last_login_at", "-last_login_at"]


class ListUsersInput(PageInput):
    q: Annotated[str, Field(max_length=100, description="Part of a name or an address")] = ""
    role: Role | None = None
    active: bool | None = None
    sort: Annotated[SortedBy, Field(description="With a minus, downwards")] = "email"


class UsersPage(Page[UserOutput]):
    """Users, a page at a time."""


class EditUserInput(BodyInput):
    """What is left out stays; ``language`` may be null, which is the browser's."""

    user_id: Annotated[int, Field(ge=1, le=2**31 - 1)]
    name: Name | None = None
    email: Email | None = None
    role: Role | None = None
    active: bool | None = None
    language: Language | None = None


def list_users(call: Call[ListUsersInput]) -> UsersPage:
    given = call.input
    by: Any = given.sort.removeprefix("-")
    sort: Sort = by
    query = UserQuery(given.q, given.role, given.active, sort, descending=given.sort.startswith("-"))
    pager = call.get(Cursors).pager("users", given)
    found = call.get(UserAdmin).search(call.signed_in(User), query, pager.after, pager.fetch)
    return pager.page(UsersPage, found, key=query.position, show=UserOutput.of)


def create_user(call: Call[CreateUserInput]) -> UserOutput:
    given = call.input
    return UserOutput.of(call.get(Users).create(given.email, given.name, given.password.get_secret_value()))


def show_user(call: Call[UserInput]) -> UserOutput:
    return UserOutput.of(call.get(UserAdmin).show(call.signed_in(User), call.input.user_id))


def edit_user(call: Call[EditUserInput]) -> UserOutput:
    given = call.input
    changes: UserChanges = {}
    if given.name is not None:
        changes["name"] = given.name.strip()
    if given.email is not None:
        changes["email"] = given.email
    if given.role is not None:
        changes["role"] = given.role
    if given.active is not None:
        changes["active"] = given.active
    if "language" in given.model_fields_set:
        changes["language"] = given.language
    return UserOutput.of(call.get(UserAdmin).edit(call.signed_in(User), given.user_id, changes))


ROUTES: RouteTable = (
    Route(
        method="GET",
        path="/api/v1/admin/users",
        name="admin.users.list",
        summary="List users",
        permission=Permission.ADMIN,
        input=ListUsersInput,
        output=UsersPage,
        endpoint=list_users,
    ),
    Route(
        method="POST",
        path="/api/v1/admin/users",
        name="admin.users.create",
        summary="Create a user whose address needs no proof",
        permission=Permission.ADMIN,
        input=CreateUserInput,
        output=UserOutput,
        endpoint=create_user,
        status=201,
        location=lambda user: f"/api/v1/admin/users/{user.id}",
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/api/v1/admin/users/{user_id}",
        name="admin.users.show",
        summary="Show a user",
        permission=Permission.ADMIN,
        input=UserInput,
        output=UserOutput,
        endpoint=show_user,
        problems=(404,),
    ),
    Route(
        method="PATCH",
        path="/api/v1/admin/users/{user_id}",
        name="admin.users.edit",
        summary="Change a user; one who is deactivated is signed out everywhere",
        permission=Permission.ADMIN,
        input=EditUserInput,
        output=UserOutput,
        endpoint=edit_user,
        problems=(404, 409),
    ),
)
