from app.settings import InvalidSettings, Problem


def test_the_message_has_every_problem_on_a_line() -> None:
    error = InvalidSettings([Problem("A", "a number", "'x'"), Problem("B", "a name", "nothing")])
    assert str(error) == "invalid settings:\n  A: expected a number; got 'x'\n  B: expected a name; got nothing"
