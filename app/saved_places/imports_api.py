"""The endpoints of imports into lists of saved places."""

import logging
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from app.saved_places import csv_files, geojson_files
from app.saved_places.importing import Imports
from app.saved_places.models import Fault, Format, Import, State
from app.users.models import User
from app.web.paging import Cursors, Page, PageInput
from app.web.routes import Call, Input, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

IMPORTS = "/api/v1/place-lists/{list_id}/imports"
FORMATS = {csv_files.MEDIA_TYPE: Format.CSV, geojson_files.MEDIA_TYPE: Format.GEOJSON}
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ImportsInput(PageInput):
    list_id: Id


class BeginImportInput(Input):
    list_id: Id


class ImportInput(Input):
    list_id: Id
    import_id: Id


class FaultsInput(PageInput):
    list_id: Id
    import_id: Id


class ImportOutput(Output):
    """Of ``total`` rows (null until the file was read) ``done`` were looked at: each was ``added`` or ``refused``.

    ``reason`` says why the whole file failed.
    """

    id: int
    list_id: int
    format: Format
    state: State
    total: int | None
    done: int
    added: int
    refused: int
    reason: str
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> Self:
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class ImportPage(Page[ImportOutput]):
    """A page of imports, newest first."""


class FaultOutput(Output):
    """``line`` is the line of a CSV file where the row begins; in GeoJSON it is the number of the feature."""

    line: int
    reason: str

    @classmethod
    def of(cls, fault: Fault) -> Self:
        return cls(line=fault.line, reason=fault.reason)


class FaultPage(Page[FaultOutput]):
    """A page of refused rows."""


def begin_import(call: Call[BeginImportInput]) -> ImportOutput:
    owner, upload = call.signed_in(User).id, call.upload
    begun = call.get(Imports).begin(owner, call.input.list_id, FORMATS[upload.media_type], upload.body)
    return ImportOutput.of(begun)


def list_imports(call: Call[ImportsInput]) -> ImportPage:
    given = call.input
    pager = call.get(Cursors).pager("place-imports.list", given)
    found = call.get(Imports).of_list(call.signed_in(User).id, given.list_id, pager.after, pager.fetch)
    return pager.page(ImportPage, found, key=lambda one: (one.id,), show=ImportOutput.of)


def show_import(call: Call[ImportInput]) -> ImportOutput:
    given = call.input
    return ImportOutput.of(call.get(Imports).get(call.signed_in(User).id, given.list_id, given.import_id))


def list_faults(call: Call[FaultsInput]) -> FaultPage:
    given, owner = call.input, call.signed_in(User).id
    pager = call.get(Cursors).pager("place-imports.faults", given)
    found = call.get(Imports).faults(owner, given.list_id, given.import_id, pager.after, pager.fetch)
    return pager.page(FaultPage, found, key=lambda one: (one.line,), show=FaultOutput.of)


ROUTES: RouteTable = (
    Route(
        method="POST",
        path=IMPORTS,
        name="place-imports.create",
        idempotent=True,
        in_steps=True,
        summary="Read a file of places into a list, as a job",
        permission=Permission.SIGNED_IN,
        input=BeginImportInput,
        output=ImportOutput,
        endpoint=begin_import,
        status=202,
        location=lambda begun: f"{IMPORTS.format(list_id=begun.list_id)}/{begun.id}",
        uploads=tuple(FORMATS),
    ),
    Route(
        method="GET",
        path=IMPORTS,
        name="place-imports.list",
        summary="List the imports into a list, newest first",
        permission=Permission.SIGNED_IN,
        input=ImportsInput,
        output=ImportPage,
        endpoint=list_imports,
    ),
    Route(
        method="GET",
        path=f"{IMPORTS}/{{import_id}}",
        name="place-imports.show",
        summary="Show how far an import is",
        permission=Permission.SIGNED_IN,
        input=ImportInput,
        output=ImportOutput,
        endpoint=show_import,
    ),
    Route(
        method="GET",
        path=f"{IMPORTS}/{{import_id}}/faults",
        name="place-imports.faults",
        summary="List the rows that were refused, and why",
        permission=Permission.SIGNED_IN,
        input=FaultsInput,
        output=FaultPage,
        endpoint=list_faults,
    ),
)
