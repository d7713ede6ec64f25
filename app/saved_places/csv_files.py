"""Places as CSV: read what spreadsheets of any language write, write what they can open without harm.

The first line names the columns. Cells are separated by comma, semicolon or tab, numbers may have a decimal comma, and
text is UTF-8 or, with a byte order mark, UTF-16. A row that can't be used is reported, and the next one is read.
"""

import codecs
import csv
import io
import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.saved_places.models import PlaceDraft, Row, SavedPlace
from app.saved_places.utils import draft

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/csv"
COLUMNS = {
    "name": {"name", "title", "label"},
    "latitude": {"latitude", "lat"},
    "longitude": {"longitude", "lon", "lng", "long"},
    "note": {"note", "notes", "description", "comment"},
    "place_id": {"place_id"},
}
NEEDED = ("name", "latitude", "longitude")
DELIMITERS = ",;\t"

LONGEST_RECORD = 200
"""Lines that one row may span. A quote that is never closed would swallow the rest of the file."""

NUMBER = re.compile(r"[+-]?\d{1,3}(?:[.,]\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""A cell that begins like this is a formula to a spreadsheet, and may send what is in the others to anybody.

https://owasp.org/www-community/attacks/CSV_Injection
"""
ESCAPED = re.compile(f"'+[{re.escape(FORMULA)}]")
UNDECODED = "\udcff"


class Unreadable(Exception):
    """Nothing in the file can be used; the message says why."""


def read_csv(body: bytes) -> Iterator[Row]:
    """Give each row of a file, good or bad. Raises Unreadable."""
    lines = list(io.StringIO(decode(body), newline=""))
    delimiter, columns = recognise(lines)
    rows = records(lines, delimiter)
    next(rows)  # the names of the columns
    for line, cells, fault in rows:
        if fault:
            yield Row(line, None, fault)
        elif any(cell.strip() for cell in cells):
            yield read_row(line, cells, columns)


def decode(body: bytes) -> str:
    """Return the text; what can't be decoded stays in it as surrogates, so that only its row is lost."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace").replace("\ufffd", UNDECODED)
    return body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def recognise(lines: Sequence[str]) -> tuple[str, Mapping[str, int]]:
    """Return the delimiter, and where each column is. Raises Unreadable."""
    for delimiter in DELIMITERS:
        _, cells, _ = next(records(lines, delimiter), (0, [], ""))
        columns = find_columns(cells)
        if columns.keys() >= set(NEEDED):
            return delimiter, columns
    raise Unreadable("The first line must name the columns: name, latitude and longitude; note and place_id if any.")


def find_columns(cells: Iterable[str]) -> dict[str, int]:
    """Say in which cell each column is. Of two that mean the same, the first counts."""
    found: dict[str, int] = {}
    for number, cell in enumerate(cells):
        word = cell.strip().casefold()
        for column, names in COLUMNS.items():
            if word in names:
                found.setdefault(column, number)
    return found


def records(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """Give each row's first line, its cells, and what is wrong with it. Blank lines are left out."""
    at = 0
    while at < len(lines):
        window = itertools.islice(lines, at, at + LONGEST_RECORD)
        reader = csv.reader(window, delimiter=delimiter, strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            yield at + 1, [], reason(error)
            at += 1
        else:
            if cells:
                yield at + 1, cells, ""
            at += reader.line_num


def reason(error: csv.Error) -> str:
    """Say in our words what the reader did not like."""
    said = str(error)
    if "unexpected end" in said:
        return f"a quote is opened here and not closed within {LONGEST_RECORD} lines"
    if "field limit" in said:
        return f"a cell is longer than {csv.field_size_limit()} characters"
    return f"this is not CSV: {said}"


def read_row(line: int, cells: Sequence[str], columns: Mapping[str, int]) -> Row:
    """Turn cells into a place, or say why they are none."""
    given = {column: cells[at].strip() if at < len(cells) else "" for column, at in columns.items()}
    numbers = {name: number(given[name]) for name in ("latitude", "longitude")}
    faults = [f"{name} is no number" if given[name] else f"{name} is missing" for name in numbers if not numbers[name]]
    place_id = given.get("place_id", "")
    if place_id and not (place_id.isascii() and place_id.isdigit() and len(place_id) <= 10):
        faults.append("place_id is no id of a place")
    if faults:
        return Row(line, None, "; ".join(faults))
    latitude, longitude = (float(text) for text in numbers.values())
    note = unescape(given.get("note", ""))
    try:
        place = draft(unescape(given["name"]), latitude, longitude, note, int(place_id) if place_id else None)
    except ValueError as error:
        return Row(line, None, str(error))
    return Row(line, place)


def number(text: str) -> str:
    """Return a number as Python writes it, or nothing for what is none."""
    return text.replace(",", ".") if NUMBER.fullmatch(text) else ""


def write_csv(places: Iterable[SavedPlace | PlaceDraft]) -> bytes:
    """Write places with a byte order mark, without which spreadsheets take UTF-8 for something else."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for place in places:
        position = (repr(place.latitude), repr(place.longitude))
        writer.writerow([escape(place.name), *position, escape(place.note), place.place_id or ""])
    return codecs.BOM_UTF8 + text.getvalue().encode()


def escape(text: str) -> str:
    """Keep a spreadsheet from taking text for a formula: an apostrophe in front, which ``unescape`` takes away."""
    return f"'{text}" if text.startswith(tuple(FORMULA)) or ESCAPED.match(text) else text


def unescape(text: str) -> str:
    """Return the text that was escaped."""
    return text[1:] if ESCAPED.match(text) else text
