from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.settings import validators
from app.settings.errors import InvalidSettings
from app.settings.model import Settings
from app.settings.validators import (
    checked_broker_url,
    checked_database_url,
    checked_mail_from,
    checked_nominatim_url,
    checked_public_url,
    checked_secret_key,
    checked_smtp_url,
    split_list,
    upper,
)

GOOD_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"


@pytest.mark.parametrize(
    "key",
    ["short", "a" * 64, "0123456789" * 2, f"changeme{GOOD_KEY}", f"{GOOD_KEY}-EXAMPLE", f"Please-Replace-{GOOD_KEY}"],
)
def test_weak_and_example_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError):
        checked_secret_key(SecretStr(key))


def test_a_random_key_is_accepted() -> None:
    assert checked_secret_key(SecretStr(GOOD_KEY)).get_secret_value() == GOOD_KEY


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///var/x.db",
        "sqlite:////var/lib/x.sqlite3",
        "postgresql+psycopg://me@db1/x",
        "postgresql+psycopg://me:secret@db1:6432/x?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem",
        "postgresql+psycopg://me@[::1]:5432/x",
        "postgresql+psycopg://me@/x?host=/run/postgresql",
        "postgresql+psycopg://me@/x?host=db1,db2&target_session_attrs=read-write",
        "mariadb+pymysql://me@db1:3306/x?ssl_ca=/etc/ssl/ca.pem",
        "mariadb+pymysql://me@/x?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
def test_files_postgresql_and_mariadb_are_databases(url: str) -> None:
    assert checked_database_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "postgresql://me@h/x",
        "postgresql+psycopg2://me@h/x",
        "postgresql+psycopg://h/x",
        "postgresql+psycopg://me@/x",
        "postgresql+psycopg://me@h",
        "postgresql+psycopg://me@h/",
        "postgresql+psycopg://me@h/x/y",
        "postgresql+psycopg://me@h:many/x",
        "postgresql+psycopg://me@h/x#fragment",
        "postgresql+psycopg://me@h/x?password=hidden",
        "postgresql+psycopg://me@h/x?service=mine",
        "postgresql+psycopg://me@h/x?sslmode=",
        "postgresql+psycopg://me@h/x?sslmode",
        "mysql+pymysql://me@h/x",
        "mariadb://me@h/x",
        "mariadb+pymysql://me@/x",
        "mariadb+pymysql://me@h/x?local_infile=1",
        "mariadb+pymysql://me@h/x?sslmode=require",
        "/x.db",
        "sqlite:////x/",
    ],
)
def test_nothing_else_is(url: str) -> None:
    with pytest.raises(ValueError):
        checked_database_url(url)


@pytest.mark.parametrize("url", [None, "redis://db1:6379/0", "redis://db1", "rediss://[::1]:6380/1"])
def test_redis_servers_are_brokers(url: str | None) -> None:
    assert checked_broker_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["db1:6379", "http://db1", "redis://", "redis://db1:many", "redis://db1/x", "redis://db1/0?a=b", "redis://:pw@db1"],
)
def test_nothing_else_is_and_a_password_is_no_part_of_it(url: str) -> None:
    with pytest.raises(ValueError):
        checked_broker_url(url)


def test_lists_are_split_and_upper_case_is_made() -> None:
    assert split_list(" A.example, b ,,") == ("a.example", "b")
    assert split_list(("kept",)) == ("kept",)
    assert upper("info") == "INFO"
    assert upper(3) == 3
    with pytest.raises(ValueError):
        split_list(" , ")


@given(st.lists(st.from_regex(r"[a-z.]{1,12}", fullmatch=True), min_size=1))
def test_a_joined_list_splits_into_the_same(parts: list[str]) -> None:
    assert split_list(", ".join(parts)) == tuple(parts)


@pytest.mark.parametrize("url", ["http://localhost:8000", "https://places.example.org/", "https://[::1]"])
def test_sites_have_an_address(url: str) -> None:
    assert checked_public_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["places.example.org", "ftp://x", "https://", "https://x/y", "https://x?y", "https://u@x"]
)
def test_what_links_can_not_begin_with(url: str) -> None:
    with pytest.raises(ValueError):
        checked_public_url(url)


@pytest.mark.parametrize("url", [None, "smtp://127.0.0.1:2525", "smtps://me@mail", "smtp+starttls://me%40x@mail:587"])
def test_mail_servers(url: str | None) -> None:
    assert checked_smtp_url(url) == url


@pytest.mark.parametrize(
    "url", ["mail", "http://mail", "smtp://", "smtp://mail:x", "smtp://mail/x", "smtps://me:pw@mail", "smtp://me@mail"]
)
def test_what_is_no_mail_server(url: str) -> None:
    with pytest.raises(ValueError):
        checked_smtp_url(url)


@pytest.mark.parametrize(
    ("url", "password", "right"),
    [
        ("smtps://me@mail", "Zq7Rt5Yw3Ku1", True),
        ("smtps://mail", "Zq7Rt5Yw3Ku1", False),
        (None, "Zq7Rt5Yw3Ku1", False),
        ("smtps://me@mail", "changeme", False),
    ],
)
def test_a_password_goes_with_a_user_of_the_mail_server(url: str | None, password: str, right: bool) -> None:
    environ = {"SECRET_KEY": GOOD_KEY, "SMTP_PASSWORD": password} | ({"SMTP_URL": url} if url else {})
    with nullcontext() if right else pytest.raises(InvalidSettings, match="SMTP_PASSWORD"):
        Settings.from_environ(environ)


@pytest.mark.parametrize(
    ("address", "right"),
    [("me@localhost", True), ("me", False), ("Me <me@x.org>", False), ("a@b@c", False), ("@x", False)],
)
def test_where_mail_comes_from(address: str, right: bool) -> None:
    with nullcontext() if right else pytest.raises(ValueError):
        assert checked_mail_from(address) == address


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (None, None),
        ("https://osm.example.org/", "https://osm.example.org"),
        ("http://[::1]:80/a/b", "http://[::1]:80/a/b"),
    ],
)
def test_geocoding_servers(url: str | None, kept: str | None) -> None:
    assert checked_nominatim_url(url) == kept


@pytest.mark.parametrize(
    "url", ["osm", "ftp://osm", "http://", "http://osm:x", "http://osm?key=1", "http://osm#x", "http://me:pw@osm"]
)
def test_what_is_no_geocoding_server(url: str) -> None:
    with pytest.raises(ValueError):
        checked_nominatim_url(url)


@pytest.mark.parametrize(
    ("geocoder", "url", "right"),
    [
        ("geonames", None, True),
        ("geonames", "https://osm", True),
        ("nominatim", "https://osm", True),
        ("nominatim", None, False),
        ("google", None, False),
    ],
)
def test_a_geocoder_has_what_it_needs(geocoder: str, url: str | None, right: bool) -> None:
    environ = {"SECRET_KEY": GOOD_KEY, "GEOCODER": geocoder} | ({"NOMINATIM_URL": url} if url else {})
    with nullcontext() if right else pytest.raises(InvalidSettings, match="GEOCODER"):
        Settings.from_environ(environ)


@pytest.mark.parametrize("rate", ["off", "1/second", "600/minute", "9/day"])
def test_rates(rate: str) -> None:
    assert validators.checked_rate(rate) == rate


@pytest.mark.parametrize("rate", ["", "fast", "0/day", "1/fortnight"])
def test_what_is_no_rate(rate: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        validators.checked_rate(rate)


@pytest.mark.parametrize("origins", [(), ("*",), ("https://a.example", "http://localhost:3000", "http://[::1]:3000")])
def test_origins(origins: tuple[str, ...]) -> None:
    assert validators.checked_origins(origins) == origins


@pytest.mark.parametrize(
    "origin", ["a.example", "https://a.example/", "https://a.example/x", "*.example", "null", "ftp://a"]
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="origins"):
        validators.checked_origins((origin,))


@pytest.mark.parametrize("dsn", ["x", "https://sentry.invalid/1", "https://key@sentry.invalid/", "ftp://key@x/1"])
def test_what_is_no_dsn(dsn: str) -> None:
    with pytest.raises(ValueError, match="DSN"):
        validators.checked_sentry_dsn(SecretStr(dsn))


@pytest.mark.parametrize("url", ["collector", "grpc://collector:4317", "http://", "http://collector?x=1"])
def test_what_is_no_collector(url: str) -> None:
    with pytest.raises(ValueError, match="collector"):
        validators.checked_otlp_endpoint(url)
