"""Take the variables of the application that was there before out of an environment file; all else stays as it is."""

import re

_TABLES = ("variables", "migrate.variables", "migrate.secrets")
_HEADER = re.compile(r"\[+\s*([^\]]+?)\s*\]+")
_SECRETS = re.compile(r"^secrets = \[[^\]]*\].*\n", re.MULTILINE)


def without(text: str) -> str:
    """Answer the text of an environment file without variables and names of secrets."""
    kept, inside = [], ""
    for line in _SECRETS.sub("", text).splitlines(keepends=True):
        if found := _HEADER.match(line):
            inside = found[1]
        if inside not in _TABLES:
            kept.append(line)
    return "".join(kept).rstrip("\n") + "\n"
