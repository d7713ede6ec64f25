"""What the operator's side says when something is wrong, and the exit codes it ends with."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended; `meaning` feeds the help and the documentation."""

    meaning: str

    OK = 0, "done"
    USAGE = 2, "wrong usage or bad input: nothing was touched"
    LEASE_HELD = 3, "another deployer holds the lease of this environment"
    NOTHING_TO_DO = 10, "the environment already is as asked: nothing to do"
    FAILED_UNCHANGED = 20, "failed, and nothing changed"
    FAILED_ROLLED_BACK = 21, "failed, and rolled back: everything is as before"
    MIXED = 30, "servers are not all as they should be: a person has to look (`fab status:<env>` shows how)"

    def __new__(cls, code: int, meaning: str) -> "Exit":
        """Make a member that is its code and carries its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class SlipwayError(Exception):
    """Something the operator can mend."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        problems: tuple[str, ...] = (),
        exit_code: int | None = None,
    ) -> None:
        """Keep one sentence (thing, what was expected, what came) and, as `hint`, the next command to type."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = problems
        if exit_code is not None:
            self.exit_code = exit_code

    exit_code: int = Exit.USAGE

    def __str__(self) -> str:
        """Say the message alone; `report` says everything."""
        return self.message

    def report(self) -> str:
        """Say everything: the message, each problem on its own line, then what to type."""
        lines = [self.message, *(f"  {problem}" for problem in self.problems)]
        if self.hint:
            lines.append(f"  -> {self.hint}")
        return "\n".join(lines)
