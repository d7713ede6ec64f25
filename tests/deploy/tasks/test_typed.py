"""What is typed behind `fab`: Fabric 1's form, wrong names, the list, and completion with colons in the shells."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.tasks import GROUPS, TASKS, collection
from deploy.tasks.typed import check, expand, explained, gather, help_first, listing
from tests.support.repository import ROOT

KNOWN = ["deploy:local", "deploy:staging", "fleet.up", "status:staging"]
COMPLETION = ROOT / "packaging" / "completion"


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("deploy:staging", "deploy:staging"),
        ("deploy:staging,version=1.4.0", "deploy:staging --version 1.4.0"),
        ("deploy:staging,version=1.4.0,json=True", "deploy:staging --version 1.4.0 --json"),
        ("deploy:staging,json,skip_unreachable", "deploy:staging --json --skip-unreachable"),
        ("deploy:staging,version=a\\\\,b", "deploy:staging --version a,b"),
        ("deploy:staging,version=", "deploy:staging --version "),
        ("nonsense:staging,version=1", "nonsense:staging,version=1"),
        ("--limit=web1,web2", "--limit=web1,web2"),
    ],
)
def test_the_form_of_fabric_1_becomes_options(typed: str, means: str) -> None:
    assert expand([typed.replace("\\\\", "\\")], KNOWN) == means.split(" ")


def test_an_argument_without_a_name_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"expected name=value .* such as deploy:staging,version=1\.4\.0"):
        expand(["deploy:staging,1.4.0"], KNOWN)


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("fleet.kill web1", "fleet.kill web1"),
        ("fleet.kill web1 web2 --json", "fleet.kill web1,web2 --json"),
        ("fleet.kill web1 web2 fleet.up", "fleet.kill web1,web2 fleet.up"),
        ("fleet.slow web1 --delay 50 status:staging", "fleet.slow web1 --delay 50 status:staging"),
        ("fleet.up --json", "fleet.up --json"),
        ("deploy:staging a b", "deploy:staging a b"),
    ],
)
def test_machines_are_separate_words(typed: str, means: str) -> None:
    assert gather(typed.split(), [*KNOWN, "fleet.kill", "fleet.slow"]) == means.split()


@given(st.lists(st.text(max_size=20), max_size=4))
def test_words_without_a_task_stay_as_they_are(words: list[str]) -> None:
    assert expand(words, []) == words


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["deploy"], "deploy: expected an environment\n  -> deploy:local, deploy:staging"),
        (["deploy:stagin"], 'unknown environment "stagin"\n  -> did you mean deploy:staging?'),
        (["fleet"], "fleet: expected a task\n  -> fleet.up"),
        (["fleet.upp"], "fleet.upp: expected a task\n  -> did you mean fleet.up?"),
        (["fleet.nonsense", "web1"], "fleet.nonsense: expected a task\n  -> fleet.up"),
        (["deploy:prod"], 'unknown environment "prod"\n  -> environments: local, staging; tasks: deploy, status'),
        (["deploy:local", "--limit", ""], "--limit: expected hosts, such as --limit web2, got nothing"),
        (["deploy:local", "--limit="], "--limit: expected hosts, such as --limit web2, got nothing"),
        (["x:y"], 'unknown task "x"\n  -> environments: local, staging; tasks: deploy, status'),
    ],
)
def test_a_wrong_name_is_told_the_nearest(typed: list[str], says: str) -> None:
    with pytest.raises(ValueError) as raised:
        check(typed, KNOWN)
    assert str(raised.value) == says


@pytest.mark.parametrize(
    ("invoke", "says"),
    [
        ("No idea what '--verison' is!", "unknown option --verison; did you mean --version?"),
        ("No idea what '--nope' is!", "unknown option --nope"),
        ("No idea what 'extra' is!", 'unexpected "extra": expected an option'),
        (
            "Flag <Argument: skip_unreachable (s)> needed value and was not given one!",
            "--skip-unreachable: expected a value",
        ),
        ("'run:local' did not receive required positional arguments: 'command'", "run:local: expected its command"),
        ("something else", "something else"),
    ],
)
def test_what_invoke_finds_wrong_is_said_in_our_words(invoke: str, says: str) -> None:
    assert explained(invoke, ["--version", "-v", "--json"]) == says


def test_who_asks_a_task_for_help_gets_it_whatever_word_it_needs() -> None:
    needed = {"maintenance:local": 1, "status:local": 0}
    assert help_first(["maintenance:local", "--help"], needed) == ["maintenance:local", "?", "--help"]
    assert help_first(["status:local", "-h"], needed) == ["status:local", "-h"]
    assert help_first(["maintenance:local", "on"], needed) == ["maintenance:local", "on"]


def test_every_option_is_explained_also_to_whoever_asks_after_what_was_typed_has_been_checked() -> None:
    tasks = collection()
    for _ in range(2):
        unexplained = [
            f"{context.name} --{flag.name}"
            for context in tasks.to_contexts()
            for flag in context.args.values()
            if not flag.help
        ]
        assert unexplained == []


def test_right_names_and_other_words_pass() -> None:
    check(["deploy:local", "--version", "1"], KNOWN)
    check(["status:staging", "http://there:80/"], KNOWN)


def test_the_list_names_every_task_once_and_every_environment() -> None:
    namespace = collection()
    text = listing(namespace, GROUPS)
    assert "ENV is one of: " in text
    for function in TASKS:
        assert sum(line.startswith(f"  {function.__name__} ") for line in text.splitlines()) == 1
    assert max(map(len, text.splitlines())) <= 130


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A `fab` that answers --complete as the real one does, at once."""
    fab = tmp_path / "fab"
    fab.write_text("#!/bin/sh\n[ \"$1\" = --complete ] && printf '%s\\n' deploy:local deploy:staging status:staging\n")
    fab.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("fab dep", ["deploy:local", "deploy:staging"]),
        ("fab deploy:st", ["staging"]),
        ("fab status:local deploy:l", ["local"]),
    ],
)
def test_bash_completes_names_with_colons(stand_in: Path, line: str, offers: list[str]) -> None:
    script = (
        f"source {COMPLETION / 'fab.bash'}; COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=(fab); "
        "_slipway_fab; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
        env={"PATH": f"{stand_in}:{os.defpath}"},
    )  # fmt: skip
    assert done.stdout.split() == offers


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_sound(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", COMPLETION / f"fab.{shell}"], check=True)


@pytest.mark.parametrize("task", [task for task in TASKS if task.__name__ != "shell"], ids=lambda task: task.__name__)
def test_every_task_but_the_one_for_a_terminal_answers_machines(task: Callable[..., object]) -> None:
    assert "json" in inspect.signature(task).parameters
