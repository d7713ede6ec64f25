"""`database` of a contract: where it leads to in each kind of environment, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy import contract, pillar
from deploy.backups import find
from deploy.environment import Environment, read
from deploy.pillar import Sources
from deploy.secret import Secret
from deploy.secrets_made import generate_missing, needed
from deploy.variables import VariablesError, wanted

APP = 'name = "my-shop"\npython = "3.11"\napp = "shop:app"\n'
PLAIN = '[database]\ndriver = "postgresql+psycopg2"\n'


def serving(environment: str, text: str = PLAIN, **variables: str) -> tuple[Environment, contract.Contract]:
    """Give an environment of the repository as it is for an application, with these variables of its own."""
    terms, mine = contract.parse(APP + text, "slipway.toml"), read(environment)
    file = mine.file.model_copy(update={"variables": variables, "secrets": ()})
    return replace(mine, file=file).serving(terms.slipway, terms.name), terms


def test_servers_get_its_address_and_the_password_in_a_file_of_its_own() -> None:
    fleet, _ = serving("fleet")
    assert fleet.file.variables == {
        "DATABASE_URL": "postgresql+psycopg2://my_shop_owner@{db}/my_shop", "PGPASSFILE": "{state}/.pgpass"
    }  # fmt: skip
    assert fleet.file.secrets == ("DATABASE_OWNER_PASSWORD",)
    assert fleet.config_files == {".pgpass": "*:*:*:my_shop_owner:{DATABASE_OWNER_PASSWORD}\n"}
    assert needed(fleet)["DATABASE_OWNER_PASSWORD"].made == "random"
    assert find(fleet).name == "my_shop", "and that is what is backed up"


def test_what_salt_makes_has_the_names_that_the_address_has() -> None:
    fleet, terms = serving("fleet", '[database]\nrole = "app"\nvariable = "STORE"\n')
    secrets = {name: Secret("x") for name in needed(fleet)}
    made = pillar.pillar(Sources(fleet, terms, secrets, ()), "db1")["slipway"]["postgresql"]
    assert (made["database"], made["roles"]["app"]["name"]) == ("my_shop", "my_shop")
    web = pillar.pillar(Sources(fleet, terms, secrets, ()), "web1")["slipway"]["app"]
    assert web["variables"]["STORE"] == "postgresql://my_shop@10.213.200.31/my_shop"
    assert set(web["secrets"]) == {"DATABASE_PASSWORD"}, "the owner's stays where the role is made"
    assert find(fleet).host == "db1"


def test_on_one_computer_it_is_a_file_where_the_application_can_do_with_that(tmp_path: Path) -> None:
    local, _ = serving("local", "[database]\nsqlite = true\n")
    local = replace(local, directory=tmp_path)
    generate_missing(local)
    assert wanted(local).plain["DATABASE_URL"] == f"sqlite:///{tmp_path}/db/my-shop.sqlite3"
    assert "PGPASSFILE" not in wanted(local).plain


def test_without_any_a_person_is_told_what_to_write(tmp_path: Path) -> None:
    local, _ = serving("local")
    with pytest.raises(VariablesError) as raised:
        wanted(replace(local, directory=tmp_path))
    [problem] = raised.value.problems
    assert problem.startswith("DATABASE_URL: nobody says where the database is -> write it into [variables], or data")
    said, _ = serving("local", DATABASE_URL="postgresql:///other")
    assert wanted(replace(said, directory=tmp_path)).plain["DATABASE_URL"] == "postgresql:///other"


def test_the_file_is_part_of_the_release_s_contract_in_every_environment() -> None:
    _, terms = serving("local")
    assert terms.for_manifest()["config_files"] == {".pgpass": "PGPASS"}
