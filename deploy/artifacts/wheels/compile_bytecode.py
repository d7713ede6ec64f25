"""Compile one unpacked wheel. Runs by itself, under the interpreter of the contract: standard library only.

    python -I -S -B compile_bytecode.py ROOT

The bytecode does not know where it lies (code is named by its path inside the release; Python puts the real one in at
import) nor when it was made (unchecked-hash: never compared with the source, which is immutable). So the same wheel
gives the same bytes for every release. One process for each wheel: what `marshal` writes depends a little on which
strings the process already knows.

Prints one JSON line: the files that don't compile, with the reason.
"""

import importlib.util
import json
import marshal
import os
import sys
import warnings

UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def compile_tree(root: str) -> dict[str, str]:
    """Write the bytecode of every module below a folder."""
    failed = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = os.path.join(folder, name)  # noqa: PTH118 - pathlib would cost a third of the run
                shown = os.path.relpath(path, root)
                try:
                    compile_file(path, shown)
                except (SyntaxError, ValueError) as error:
                    line = getattr(error, "lineno", None) or 1
                    failed[shown] = f"{shown}:{line}: {getattr(error, 'msg', None) or error}"
    return failed


def compile_file(path: str, shown: str) -> None:
    """Write the bytecode of one module, where Python looks for it."""
    with open(path, "rb") as file:  # noqa: PTH123
        source = file.read()
    code = compile(source, shown, "exec", dont_inherit=True, optimize=0)
    # PEP 552: magic number, flags, hash of the source, code.
    header = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
    cached = importlib.util.cache_from_source(path, optimization="")
    os.makedirs(os.path.dirname(cached), exist_ok=True)  # noqa: PTH103, PTH120
    with open(cached, "wb") as file:  # noqa: PTH123
        file.write(header + marshal.dumps(code))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(compile_tree(sys.argv[1])))  # noqa: T201
