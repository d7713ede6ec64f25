import pytest

from app.jobs.address import broker_url
from app.settings import Settings


def test_the_password_is_quoted_into_the_url(settings: Settings) -> None:
    url = "redis://db1:6379/0"
    assert broker_url(settings.model_copy(update={"broker_url": url})) == url
    variables = {"SECRET_KEY": settings.secret_key.get_secret_value(), "BROKER_URL": url, "REDIS_PASSWORD": "#w/Zr 3@%"}
    assert broker_url(Settings.from_environ(variables)) == "redis://:%23w%2FZr%203%40%25@db1:6379/0"


def test_without_a_broker_there_is_no_address(settings: Settings) -> None:
    with pytest.raises(ValueError, match="BROKER_URL"):
        broker_url(settings)
