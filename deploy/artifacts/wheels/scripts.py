"""The programs of a release: they find their interpreter beside themselves, wherever the release lies."""

import re

# To the shell: run the Python in this file's own folder (links to the file followed) with this file.
# To Python: a text that nobody uses. A `#!` line can't be relative, and one with a path would tie the release to it.
_HEAD = """#!/bin/sh
'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python" "$0" "$@"
' '''
"""
_ENTRY = """import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
_PYTHON = re.compile(rb"#![ \t]*(?:pythonw?|\S*/env[ \t]+python[\d.]*|\S*/python[\d.]*)(?:[ \t][^\n]*)?\r?\n")


def entry_point(module: str, attribute: str) -> bytes:
    """Write the program of an entry point."""
    return (_HEAD + _ENTRY.format(module=module, attribute=attribute, first=attribute.split(".")[0])).encode()


def relocatable(script: bytes) -> bytes:
    """Make a script that a wheel brings find its interpreter; one that isn't Python stays as it is."""
    if match := _PYTHON.match(script):
        return _HEAD.encode() + script[match.end() :]
    return script
