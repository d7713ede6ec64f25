import pytest

from app.database.revisions import Revision
from app.database.undoing import refusal

EXPAND = Revision("0003", "0002", "expand", "Add.")
CONTRACT = Revision("0002", "0001", "contract", "Drop.")


@pytest.mark.parametrize(
    ("undone", "environment", "confirmed", "why"),
    [
        ([], "production", None, None),
        ([EXPAND, CONTRACT], "development", None, None),
        ([EXPAND], "production", None, "roll that back instead, or type: --environment production"),
        ([EXPAND], "production", "staging", "this is production, not staging"),
        ([EXPAND], "production", "production", None),
        ([EXPAND, CONTRACT], "production", "production", "0002: contract migrations"),
    ],
)
def test_what_may_be_undone_where(
    undone: list[Revision], environment: str, confirmed: str | None, why: str | None
) -> None:
    found = refusal(undone, environment, confirmed)
    assert found is None if why is None else why in str(found)
