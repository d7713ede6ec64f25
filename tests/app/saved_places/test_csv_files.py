import codecs
import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.saved_places.csv_files import LONGEST_RECORD, Unreadable, escape, read_csv, unescape, write_csv
from app.saved_places.models import PlaceDraft
from app.saved_places.utils import draft

TASCA = PlaceDraft("Tasca", 38.71, -9.13)


def places(text: str | bytes) -> list[PlaceDraft | tuple[int, str]]:
    """Good rows as places, bad ones as line and reason."""
    body = text if isinstance(text, bytes) else text.encode()
    return [row.place or (row.line, row.reason) for row in read_csv(body)]


@pytest.mark.parametrize(
    "text",
    [
        "name,latitude,longitude\nTasca,38.71,-9.13\n",
        "name,latitude,longitude\r\nTasca,38.71,-9.13\r\n",
        "name,latitude,longitude\rTasca,38.71,-9.13",
        "\ufeffname,latitude,longitude\nTasca,38.71,-9.13",
        "name;latitude;longitude\nTasca;38,71;-9,13",
        "name\tlatitude\tlongitude\nTasca\t38.71\t-9,13",
        'name,latitude,longitude\n"Tasca","38,71","-9,13"',
        "\n\nLat , LNG,Title,stars\n38.71,-9.13, Tasca ,5\n",
        "name,latitude,longitude,note\nTasca,3.871e1,-913e-2",
        "name,name,latitude,longitude\nTasca,other,38.71,-9.13\n,,,\n\n",
        "\ufeffname\tlatitude\tlongitude\r\nTasca\t38,71\t-9,13\r\n".encode("utf-16-le"),
        "\ufeffname\tlatitude\tlongitude\r\nTasca\t38,71\t-9,13\r\n".encode("utf-16-be"),
    ],
)
def test_what_spreadsheets_write_is_read(text: str | bytes) -> None:
    assert places(text) == [TASCA]


def test_cells_may_have_delimiters_quotes_and_lines() -> None:
    text = 'name,latitude,longitude,note\n"Tasca ""Zé"", Graça",38.71,-9.13,"fish\r\n\r\nand; wine"\nNext,1,2\n'
    assert places(text) == [
        PlaceDraft('Tasca "Zé", Graça', 38.71, -9.13, "fish\n\nand; wine"),
        PlaceDraft("Next", 1, 2),
    ]


def test_bad_rows_are_told_by_line_and_the_others_are_read() -> None:
    text = """name,latitude,longitude,note,place_id
Good,1,2
,1,2
North,91,2
Words,one,2
Nowhere,,
"Two
lines",1,
Text,1,2,note,x
Thousand,1.000.5,"1,000,000"
Huge,1,1e400
Quote,"1"2,3
Good again,-1,-2,n,7
"""
    assert places(text) == [
        PlaceDraft("Good", 1, 2),
        (3, "name is empty"),
        (4, "latitude is not between -90 and 90"),
        (5, "latitude is no number"),
        (6, "latitude is missing; longitude is missing"),
        (7, "longitude is missing"),
        (9, "place_id is no id of a place"),
        (10, "latitude is no number; longitude is no number"),
        (11, "longitude is not between -180 and 180"),
        (12, "this is not CSV: ',' expected after '\"'"),
        PlaceDraft("Good again", -1, -2, "n", 7),
    ]


def test_a_row_that_is_not_utf_8_costs_no_other_one() -> None:
    body = b"name,latitude,longitude,stars\nTasca,38.71,-9.13,\n" + b"Caf\xe9,1,2,\nTasca,38.71,-9.13,\xe9\n"
    assert places(body) == [TASCA, (3, "name is not UTF-8"), TASCA], "what is not read need not be UTF-8"
    cut = "\ufeffname;latitude;longitude\nTasca;38.71;-9.13\nX".encode("utf-16-le")[:-1]
    assert places(cut) == [TASCA, (3, "latitude is missing; longitude is missing")]


def test_a_quote_that_is_never_closed_costs_its_row_only() -> None:
    text = 'name,latitude,longitude\n"Tasca,1,2\nTasca,38.71,-9.13\n'
    assert places(text) == [(2, f"a quote is opened here and not closed within {LONGEST_RECORD} lines"), TASCA]
    assert places(text + "Tasca,38.71,-9.13\n" * 500)[1:] == [TASCA] * 501


def test_a_huge_cell_costs_its_row_only() -> None:
    limit = csv.field_size_limit()
    text = f"name,latitude,longitude\n{'x' * (limit + 1)},1,2\nTasca,38.71,-9.13\n{'y' * 300},1,2\n"
    assert places(text) == [
        (2, f"a cell is longer than {limit} characters"),
        TASCA,
        (4, "name is longer than 200 characters"),
    ]


def test_a_nul_and_other_separators_of_lines_are_characters() -> None:
    text = "name,latitude,longitude\nA\0,1,2\nB\x0bb,1,2\nC\u2028c,1,2\n"
    assert places(text) == [
        (2, "name has control characters"),
        (3, "name has control characters"),
        PlaceDraft("C\u2028c", 1, 2),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"Tasca,38.71,-9.13\n", b"\x89PNG\r\n\x1a\n\0\0", b"name|latitude|longitude\n", b'"']
)
def test_a_file_without_names_of_columns_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable, match="first line must name the columns"):
        list(read_csv(body))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\uff1dA1", "'=x", "''=x"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert escape(text) == f"'{text}"
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("text", ["", "Tasca", "'s-Hertogenbosch", "'", "a=b", "1"])
def test_what_is_no_formula_is_left_alone(text: str) -> None:
    assert escape(text) == unescape(text) == text


@given(st.text())
def test_escaping_is_undone(text: str) -> None:
    assert unescape(escape(text)) == text


def test_an_export_is_made_for_spreadsheets() -> None:
    body = write_csv([draft("São Tomé", 0.33, -0.0, '=HYPERLINK("x")', 9)])
    assert body == codecs.BOM_UTF8 + (
        'name,latitude,longitude,note,place_id\r\nSão Tomé,0.33,-0.0,"\'=HYPERLINK(""x"")",9\r\n'.encode()
    )


CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"])
DRAFTS = st.builds(
    draft,
    name=st.text(CHARACTERS, max_size=40).filter(str.strip),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    note=st.text(CHARACTERS | st.sampled_from("\n\t\"',;=+-@"), max_size=40),
    place_id=st.none() | st.integers(1, 2**31 - 1),
)


@given(st.lists(DRAFTS, max_size=5))
@example([PlaceDraft("a", 5e-324, 179.99999999999997, "'=1\n\n'+2")])
def test_what_was_written_is_read_again(drafts: list[PlaceDraft]) -> None:
    assert places(write_csv(drafts)) == drafts


@given(st.lists(DRAFTS, max_size=5), st.sampled_from([";", "\t"]))
def test_it_is_when_a_spreadsheet_saved_it_with_another_delimiter(drafts: list[PlaceDraft], delimiter: str) -> None:
    text = write_csv(drafts).decode("utf-8-sig")
    again = io.StringIO(newline="")
    csv.writer(again, delimiter=delimiter).writerows(csv.reader(io.StringIO(text, newline="")))
    assert places(again.getvalue()) == drafts


@given(st.binary() | st.text(alphabet='name,latitude;longitude"\n\r\t 0123456789.-\0é').map(str.encode))
@example(b"name,latitude,longitude\n" + b'"' * 1001)
@example(codecs.BOM_UTF16_LE + b"\xd8")
def test_no_file_is_a_surprise(body: bytes) -> None:
    for text in (body, b"name,latitude,longitude\n" + body):
        try:
            for row in read_csv(text):
                assert (row.place is None) == bool(row.reason)
                assert len(row.reason) <= 500
        except Unreadable:
            pass
