"""What an operator reads, and what a script gets."""

from deploy.errors import Exit, SlipwayError


def test_the_codes_are_those_of_the_design() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "OK": 0,
        "USAGE": 2,
        "LEASE_HELD": 3,
        "NOTHING_TO_DO": 10,
        "FAILED_UNCHANGED": 20,
        "FAILED_ROLLED_BACK": 21,
        "MIXED": 30,
    }
    assert all(code.meaning for code in Exit)


def test_the_text_is_the_message_and_the_report_is_all() -> None:
    error = SlipwayError("web1: no", hint="fab status:local", problems=("a: 1", "b: 2"))
    assert str(error) == "web1: no"
    assert error.exit_code == Exit.USAGE
    assert error.report() == "web1: no\n  a: 1\n  b: 2\n  -> fab status:local"


def test_a_subclass_may_have_its_own_code() -> None:
    class HeldError(SlipwayError):
        exit_code = Exit.LEASE_HELD

    assert HeldError("held").exit_code == 3
    assert HeldError("held", exit_code=Exit.MIXED).exit_code == 30
