"""Wanted variables: placeholders, secrets, and their digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import contract
from deploy.environment import Environment, read
from deploy.environment_model import MigrateEntry
from deploy.secret import Secret
from deploy.secrets_made import generate_missing
from deploy.secrets_store import secret_path
from deploy.variables import Variables, VariablesError, for_migrate, wanted


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Give the environment `local` a directory of its own."""
    return replace(read("local"), directory=tmp_path)


def test_a_secret_is_made_once_and_only_its_owner_reads_it(environment: Environment) -> None:
    assert generate_missing(environment) == ["SECRET_KEY"]
    path = secret_path(environment, "SECRET_KEY")
    first = path.read_text()
    assert len(first) >= 48
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert generate_missing(environment) == []
    assert path.read_text() == first


def test_placeholders_are_filled_in(environment: Environment) -> None:
    generate_missing(environment)
    plain = wanted(environment).plain
    assert plain["DATABASE_URL"] == f"sqlite:///{environment.directory}/db/gazetteer.sqlite3"


def test_unknown_placeholders_and_missing_secrets_are_all_named(environment: Environment) -> None:
    file = environment.file.model_copy(
        update={"variables": {"A": "{directry}", "B": "{nonsense}", "C": '{"json": [1]}'}}
    )
    with pytest.raises(VariablesError) as raised:
        wanted(replace(environment, file=file))
    assert "A: unknown placeholder {directry}; did you mean 'directory'?" in raised.value.problems
    assert any(p.startswith("B: unknown placeholder {nonsense}") for p in raised.value.problems)
    assert "SECRET_KEY: this secret does not exist yet" in raised.value.problems
    assert not any(p.startswith("C") for p in raised.value.problems), "a value may be JSON"


def test_an_empty_secret_is_missing(environment: Environment) -> None:
    path = secret_path(environment, "SECRET_KEY")
    path.parent.mkdir()
    path.write_text("\n")
    with pytest.raises(VariablesError):
        wanted(environment)


def test_the_digest_is_the_agents(environment: Environment) -> None:
    variables = Variables({"B": "2", "A": "ü"}, {"KEY": Secret("s3cret")})
    canonical = '{"secrets":{"KEY":"s3cret"},"variables":{"A":"\\u00fc","B":"2"}}'
    assert json.loads(canonical)["variables"]["A"] == "ü"
    assert variables.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert variables.digest != Variables({"B": "2", "A": "ü"}, {"KEY": Secret("other")}).digest


def test_others_replace_a_name_in_whatever_form_it_was_there() -> None:
    own = Variables({"URL": "app", "LEVEL": "INFO", "TOKEN": "plain"}, {"KEY": Secret("k"), "PASSWORD": Secret("app")})
    both = own.replaced_by(Variables({"URL": "owner", "KEY": "plain"}, {"PASSWORD": Secret("o"), "TOKEN": Secret("t")}))
    assert both.plain == {"URL": "owner", "LEVEL": "INFO", "KEY": "plain"}
    assert both.revealed() == {"PASSWORD": "o", "TOKEN": "t"}
    assert own.replaced_by(Variables({}, {})) == own


def test_what_the_migrate_command_gets_is_read_under_other_names(environment: Environment) -> None:
    path = secret_path(environment, "OWNER_PASSWORD")
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_text("sesame\n")
    entry = MigrateEntry(variables={"URL": "owner@{environment}"}, secrets={"PASSWORD": "OWNER_PASSWORD"})
    found = for_migrate(replace(environment, file=environment.file.model_copy(update={"migrate": entry})))
    assert (found.plain, found.revealed()) == ({"URL": "owner@local"}, {"PASSWORD": "sesame"})


def test_a_secret_shows_stars_whoever_prints_it() -> None:
    secret = Secret("hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", repr({"a": secret}), repr(Variables({}, {"KEY": secret}))):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")
    with pytest.raises(TypeError):
        json.dumps(secret)


APP = """\
name = "shop"
python = "3.11"
app = "shop:app"
secrets = ["MAIL_KEY"]
env = { COLOUR = "blue", URL = "db://shop:{SECRET_KEY}@{environment}", PLACE = "{state}/files" }
"""


def test_what_the_contract_says_for_all_environments_gives_way_to_their_own(environment: Environment) -> None:
    file = environment.file.model_copy(update={"variables": {"COLOUR": "red"}})
    mine = replace(environment, file=file).serving(contract.parse(APP, "slipway.toml").slipway, "shop")
    assert generate_missing(mine) == ["MAIL_KEY", "SECRET_KEY"]
    found = wanted(mine)
    assert (found.plain["COLOUR"], found.plain["PLACE"]) == ("red", "{state}/files"), "the agent knows where that is"
    assert set(found.secret) == {"MAIL_KEY", "SECRET_KEY"}
    assert "SECRET_KEY" in found.plain["URL"], "no secret gets into a plain variable"


def test_a_configuration_file_is_a_secret_and_may_name_all_that_there_is(environment: Environment) -> None:
    files = 'config_files = { "etc/shop.cfg" = "{URL} {MAIL_KEY} {directory} {other} {}" }\n'
    mine = environment.serving(contract.parse(APP + files, "slipway.toml").slipway, "shop")
    generate_missing(mine)
    values = wanted(mine).revealed()
    assert values["ETC_SHOP_CFG"] == (
        f"db://shop:{values['SECRET_KEY']}@local {values['MAIL_KEY']} {environment.directory} {{other}} {{}}"
    )
    wrong = 'config_files = { "shop.cfg" = "{MAIL_KEI}" }\n'
    mine = environment.serving(contract.parse(APP + wrong, "slipway.toml").slipway, "shop")
    with pytest.raises(VariablesError) as raised:
        wanted(mine)
    assert raised.value.problems == ("config_files: shop.cfg: nobody gives {MAIL_KEI}; did you mean 'MAIL_KEY'?",)
