"""What is wrong with an environment, told all at once."""

import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One variable that can't be used. ``got`` describes a secret, it never repeats it."""

    variable: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.variable}: expected {self.expected}; got {self.got}"


class InvalidSettings(Exception):
    """The environment can't configure the application; ``problems`` has every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(["invalid settings:", *(f"  {problem}" for problem in problems)]))
