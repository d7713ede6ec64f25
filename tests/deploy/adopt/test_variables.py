"""Environment files lose the variables of the application that was there, and nothing else."""

from pathlib import Path

from deploy import environment, toml_model
from deploy.adopt import variables
from deploy.environment_model import EnvironmentFile
from deploy.toml_position import load, loads


def test_only_variables_and_names_of_secrets_go() -> None:
    for name in environment.names():
        text = load(environment.DIRECTORY / f"{name}.toml").text
        left = variables.without(text)
        assert left == variables.without(left), "a second time changes nothing"
        before, _ = toml_model.read(EnvironmentFile, loads(text, Path(name)))
        after, problems = toml_model.read(EnvironmentFile, loads(left, Path(name)))
        assert before, name
        assert after, problems
        assert after == before.model_copy(update={"variables": {}, "secrets": (), "migrate": after.migrate})
        assert (after.migrate.variables, after.migrate.secrets) == ({}, {})
