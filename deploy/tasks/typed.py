"""What was typed: the list for `fab` alone, Fabric 1's arguments, and the nearest name for one that does not exist."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from invoke.collection import Collection

from deploy.command_line import running

NAMING = ("--limit", "--host")  # options whose value, left out by mistake, would mean every host
WIDTH = 12  # of the tasks' names in the list

Groups = Mapping[str, Sequence[Callable[..., Any]]]


def understand(namespace: Collection, groups: Groups) -> None:
    """Answer what needs no task, put Fabric 1's form into today's, and leave where a name is wrong."""
    words = sys.argv[1:]
    if not words or words in (["--list"], ["-l"]):
        with suppress(BrokenPipeError):  # fab --list | head
            print(listing(namespace, groups), flush=True)  # noqa: T201
        sys.stdout = None
        raise SystemExit(0)
    known = sorted(namespace.task_names)
    try:
        expanded = gather(expand(words, known), known)
        check(expanded, known)
        needed = {name: len(namespace[name].positional) for name in expanded if name in known}
        expanded = help_first(expanded, needed)
    except ValueError as error:
        print(f"slipway: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    if expanded != words:
        _replace_unparsed(words, expanded)
    _refuse_wrong_options(namespace)


def listing(namespace: Collection, groups: Groups) -> str:
    """Write what there is: environments once, tasks by group, a line each."""
    environments = sorted({name.partition(":")[2] for name in namespace.task_names if ":" in name})
    example = f"fab status:{'local' if 'local' in environments else [*environments, 'staging'][0]}"
    lines = [f"fab TASK:ENV, such as `{example}`; ENV is one of: {', '.join(environments) or 'none yet'}"]
    for title, functions in groups.items():
        lines += ["", title]
        lines += [f"  {f.__name__:<{WIDTH}} {_sentence(f.__doc__)}" for f in functions]
    alone = [name for name in namespace.task_names if ":" not in name and "." not in name]
    if alone:
        lines += ["", "Adopt an application, without an environment"]
        lines += [f"  {name:<{WIDTH}} {_sentence(namespace[name].__doc__)}" for name in alone]
    others = [name for name in namespace.task_names if ":" not in name and "." in name]
    if others:
        lines += ["", "Machines on this computer, as root"]
        lines += [f"  {name:<{WIDTH}} {_sentence(namespace[name].__doc__)}" for name in others]
    return "\n".join([*lines, "", "fab --help TASK:ENV says which options a task has."])


def _sentence(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def expand(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """Turn Fabric 1's `deploy:staging,version=1.4.0,json` into `deploy:staging --version 1.4.0 --json`.

    A comma that belongs to a value is written `\\,`, as Fabric 1 had it.

    Raises: ValueError for an argument without a name: tasks have options only.
    """
    expanded: list[str] = []
    for word in words:
        name, *arguments = word.replace("\\,", "\0").split(",")
        if not arguments or name not in known:
            expanded.append(word)
            continue
        expanded.append(name)
        for argument in arguments:
            option, equals, value = argument.replace("\0", ",").partition("=")
            if not option.replace("-", "").replace("_", "").isalpha():
                raise ValueError(f"{word}: expected name=value after the comma, such as {name},version=1.4.0")
            expanded.append(f"--{option.replace('_', '-')}")
            if equals and value.lower() not in ("true", "yes"):
                expanded.append(value)
    return expanded


def gather(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """Turn `fleet.kill web1 web2` into `fleet.kill web1,web2`: Invoke takes a fixed number of words for a task."""
    gathered: list[str] = []
    gathering = False
    for word in words:
        plain = not word.startswith("-") and word not in known
        if gathering and plain and "." not in gathered[-1]:
            gathered[-1] += f",{word}"
        else:
            gathered.append(word)
        gathering = word.startswith("fleet.") or (gathering and plain)
    return gathered


def help_first(words: Sequence[str], needed: Mapping[str, int]) -> list[str]:
    """Let `maintenance:local --help` ask for help: Invoke would take `--help` for the word that the task `needed`."""
    asked: list[str] = []
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        asked += ["?"] * needed.get(before, 0) if word in ("--help", "-h") else []
        asked.append(word)
    return asked


def check(words: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a task of this form that does not exist.

    Raises: ValueError with the nearest name.
    """
    if words[0] in {name.partition(":")[0] for name in known if ":" in name}:
        complete = ", ".join(name for name in known if name.startswith(f"{words[0]}:"))
        raise ValueError(f"{words[0]}: expected an environment\n  -> {complete}")
    if words[0] == "fleet" or (words[0].startswith("fleet.") and words[0] not in known):
        machines = [name for name in known if name.startswith("fleet.")]
        close = difflib.get_close_matches(words[0], machines, n=1, cutoff=0.75) if "." in words[0] else []
        raise ValueError(
            f"{words[0]}: expected a task\n  -> {f'did you mean {close[0]}?' if close else ', '.join(machines)}"
        )
    for word, following in zip(words, [*words[1:], None], strict=True):
        if (word in NAMING and following == "") or word in [f"{option}=" for option in NAMING]:
            raise ValueError(f"{word.rstrip('=')}: expected hosts, such as {word.rstrip('=')} web2, got nothing")
        if ":" in word and "/" not in word and not word.startswith("-") and word not in known:
            raise ValueError(_unknown(word, known))
        if word == "--" or word.startswith("run:"):
            return


def _unknown(word: str, known: Sequence[str]) -> str:
    task, _, environment = word.partition(":")
    both = [name for name in known if ":" in name]
    tasks, environments = sorted({k.partition(":")[0] for k in both}), sorted({k.partition(":")[2] for k in both})
    if task in tasks:
        message, close = (
            f'unknown environment "{environment}"',
            difflib.get_close_matches(environment, environments, 1, 0.5),
        )
        close = [f"{task}:{name}" for name in close]
    else:
        message, close = f'unknown task "{task}"', difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"{message}\n  -> did you mean {close[0]}?"
    return f"{message}\n  -> environments: {', '.join(environments)}; tasks: {', '.join(tasks)}"


def _replace_unparsed(words: Sequence[str], expanded: Sequence[str]) -> None:
    """Give Invoke other words than were typed: it has split off its own options already, and not read the tasks yet."""
    core = running().core
    unparsed = list(core.unparsed)
    if unparsed and list(words[-len(unparsed) :]) == unparsed:
        kept = len(words) - len(unparsed)
        core.unparsed[:] = expanded[kept:]


def _refuse_wrong_options(namespace: Collection) -> None:
    """Read the tasks' options as Invoke will, which ends with 1, or in a traceback, where one is wrong."""
    from invoke.exceptions import ParseError
    from invoke.parser import Parser

    program = running()
    unparsed = list(program.core.unparsed)
    contexts = [context for context in namespace.to_contexts() if context.name in unparsed]
    try:
        Parser(initial=program.initial_context, contexts=contexts).parse_argv(unparsed)
    except ParseError as error:
        problem = explained(str(error), [flag for context in contexts for flag in context.flags])
    except ValueError as error:  # "invalid literal for int() with base 10: 'x'"
        problem = f"expected a number, got {str(error).rpartition(': ')[2]}"
    else:
        return
    task = next((context.name for context in contexts), "")
    print(f"slipway: {problem}" + (f"\n  -> fab --help {task}" if task else ""), file=sys.stderr)  # noqa: T201
    raise SystemExit(2)


def explained(problem: str, options: Sequence[str]) -> str:
    """Say what Invoke found wrong as everything else here is said; `options` are those of the tasks that were named."""
    if found := re.fullmatch(r"No idea what '(.*)' is!", problem):
        word, long = found[1], sorted(option for option in options if option.startswith("--"))
        if not word.startswith("-"):
            return f'unexpected "{word}": expected {"an option" if options else "TASK:ENV"}'
        close = difflib.get_close_matches(word.partition("=")[0], long, n=1)
        return f"unknown option {word}{f'; did you mean {close[0]}?' if close else ''}"
    if found := re.match(r"Flag <Argument: (\w+)", problem):
        return f"--{found[1].replace('_', '-')}: expected a value"
    if found := re.fullmatch(r"'(.*)' did not receive required positional arguments: (.*)", problem):
        return f"{found[1]}: expected its {found[2].replace(chr(39), '')}"
    return problem
