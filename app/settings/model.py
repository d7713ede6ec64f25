"""The one table of variables: every field is one, and feeds code, help, ``.env.example`` and the tests."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings.errors import InvalidSettings, Problem
from app.settings.reading import got, read_variables
from app.settings.validators import (
    checked_broker_url,
    checked_database_password,
    checked_database_url,
    checked_geocoder,
    checked_mail_from,
    checked_nominatim_url,
    checked_origins,
    checked_otlp_endpoint,
    checked_public_url,
    checked_rate,
    checked_redis_password,
    checked_secret_key,
    checked_sentry_dsn,
    checked_smtp_password,
    checked_smtp_url,
    split_list,
    upper,
)

logger = logging.getLogger(__name__)

LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)]
HostList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
SecretKey = Annotated[SecretStr, AfterValidator(checked_secret_key)]
DatabaseUrl = Annotated[str, AfterValidator(checked_database_url)]
DatabasePassword = Annotated[SecretStr | None, AfterValidator(checked_database_password)]
BrokerUrl = Annotated[str | None, AfterValidator(checked_broker_url)]
Rate = Annotated[str, AfterValidator(checked_rate)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(checked_origins)]
NominatimUrl = Annotated[str | None, AfterValidator(checked_nominatim_url)]
GeocoderName = Annotated[Literal["geonames", "nominatim"], AfterValidator(checked_geocoder)]
RedisPassword = Annotated[SecretStr | None, AfterValidator(checked_redis_password)]
SentryDsn = Annotated[SecretStr | None, AfterValidator(checked_sentry_dsn)]
OtlpEndpoint = Annotated[str | None, AfterValidator(checked_otlp_endpoint)]
PublicUrl = Annotated[str, AfterValidator(checked_public_url)]
SmtpUrl = Annotated[str | None, AfterValidator(checked_smtp_url)]
SmtpPassword = Annotated[SecretStr | None, AfterValidator(checked_smtp_password)]
MailFrom = Annotated[str, AfterValidator(checked_mail_from)]
EnvironmentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def variable(default: Any, summary: str, expected: str, example: str, *, by_slipway: bool = False) -> Any:
    """Declare a variable: its default (``...`` when required), meaning, what a valid value is, and a valid value.

    ``by_slipway`` marks what the deployment sets and a person never writes into an environment file.
    """
    extra: dict[str, Any] = {"expected": expected, "by_slipway": by_slipway}
    return Field(default, description=summary, examples=[example], json_schema_extra=extra)


def is_secret(field: FieldInfo) -> bool:
    """Say whether a variable's value must never be shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


class Settings(BaseSettings):
    """What a process is told by its environment. Build it with ``from_environ``; unknown variables are ignored."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False, hide_input_in_errors=True)

    environment: EnvironmentName = variable(
        "development",
        "Name of the environment, shown in logs",
        "a name of lower-case letters, digits and hyphens",
        "production",
    )
    secret_key: SecretKey = variable(
        ...,
        "Key of the digests of sessions and API tokens, and of links in mails; a new one signs everybody out",
        "at least 32 characters, random and not an example",
        "changeme",
    )
    database_url: DatabaseUrl = variable(
        "sqlite:///var/gazetteer.sqlite3",
        "Database; for SQLite three slashes and a path relative to the working directory, or four and an absolute one",
        "the URL of a PostgreSQL database, such as postgresql+psycopg://user@db1:5432/name?sslmode=require,"
        " of a MariaDB one, such as mariadb+pymysql://user@db1:3306/name?ssl_ca=/etc/ssl/certs/db1.pem,"
        " or of an SQLite file, such as sqlite:////var/lib/app/app.sqlite3",
        "postgresql+psycopg://gazetteer@db1:5432/gazetteer",
    )
    database_password: DatabasePassword = variable(
        None,
        "Password of the role in DATABASE_URL, so that the URL need not be a secret",
        "a password that is no example, for the DATABASE_URL of a server that has none itself",
        "changeme",
    )
    database_pool_size: Annotated[int, Field(ge=1, le=100)] = variable(
        8,
        "Connections that a process has at most; no fewer than its threads, or requests wait for one another",
        "a number from 1 to 100",
        "8",
    )
    database_pool_timeout: Annotated[int, Field(ge=1, le=60)] = variable(
        5, "Seconds to wait for one of them", "a number from 1 to 60", "5"
    )
    database_connect_timeout: Annotated[int, Field(ge=2, le=60)] = variable(
        5, "Seconds until a database server that does not answer counts as down", "a number from 2 to 60", "5"
    )
    database_statement_timeout: Annotated[int, Field(ge=0, le=3600)] = variable(
        30,
        "Seconds that a statement of a request may take on a database server, 0 for any number",
        "a number from 0 to 3600",
        "30",
    )
    broker_url: BrokerUrl = variable(
        None,
        "Redis server through which workers get their jobs; without one they are done where they are asked for",
        "the URL of a Redis server, without a password, such as redis://db1:6379/0",
        "redis://db1:6379/0",
    )
    redis_password: RedisPassword = variable(
        None, "Password of the server in BROKER_URL", "a password that is no example, for a BROKER_URL", "changeme"
    )
    job_seconds: Annotated[int, Field(ge=1, le=3600)] = variable(
        60,
        "Seconds that a job may take; it is stopped then, and given out again when its worker is gone for so long",
        "a number from 1 to 3600",
        "60",
    )
    worker_processes: Annotated[int, Field(ge=1, le=64)] = variable(
        2, "Jobs that a worker does at a time", "a number from 1 to 64", "2"
    )
    nominatim_url: NominatimUrl = variable(
        None,
        "Nominatim server that knows addresses, for GEOCODER=nominatim",
        "the URL of a Nominatim server, such as https://nominatim.example.org",
        "https://nominatim.example.org",
    )
    nominatim_timeout: Annotated[int, Field(ge=1, le=30)] = variable(
        3, "Seconds to wait for its answer, each of two times", "a number from 1 to 30", "3"
    )
    geocoder: GeocoderName = variable(
        "geonames",
        "Who knows where things are: our own table of places, or a Nominatim server, which knows addresses, too",
        "geonames, or nominatim with a NOMINATIM_URL",
        "geonames",
    )
    geocoder_cache_days: Annotated[int, Field(ge=1, le=366)] = variable(
        30, "Days that answers of a Nominatim server are kept for", "a number from 1 to 366", "30"
    )
    log_level: LogLevel = variable(
        "INFO", "Least severe message that is logged", "one of DEBUG, INFO, WARNING, ERROR", "INFO"
    )
    log_format: Literal["json", "console"] = variable(
        "json", "Log lines for machines or for a terminal", "json or console", "json"
    )
    app_framework: Literal["flask", "falcon"] = variable(
        "flask",
        "Framework that serves the route table; Falcon serves the JSON API, health and metrics, and no pages",
        "flask or falcon",
        "flask",
    )
    allowed_hosts: HostList = variable(
        ("*",),
        "Host names the application answers to, comma-separated; .example.org includes subdomains, * is any",
        "comma-separated host names",
        "places.example.org,localhost",
    )
    secure_cookies: bool = variable(
        True,
        "Whether browsers send cookies over HTTPS only; no, where pages are served without it",
        "yes or no",
        "yes",
    )
    trusted_proxies: Annotated[int, Field(ge=0, le=9)] = variable(
        0,
        "How many proxies in front may set X-Forwarded-For, -Proto and -Host",
        "a number from 0 to 9",
        "1",
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=104_857_600)] = variable(
        1_048_576, "Largest request body that is read, in bytes", "a number from 1024 to 104857600", "1048576"
    )
    public_url: PublicUrl = variable(
        "http://localhost:8000",
        "Where users find this site: what links in mails begin with",
        "http:// or https:// and a host, nothing after it",
        "https://places.example.org",
    )
    smtp_url: SmtpUrl = variable(
        None,
        "Server that mail leaves by; without one it is shown on the terminal in development, and kept back elsewhere",
        "smtp://HOST, smtp+starttls://USER@HOST or smtps://USER@HOST, with a port if it is not 25, 587 or 465",
        "smtp+starttls://gazetteer@mail.example.org",
    )
    smtp_password: SmtpPassword = variable(
        None,
        "Password of the user in SMTP_URL",
        "a password that is no example, for an SMTP_URL with a user",
        "changeme",
    )
    mail_from: MailFrom = variable(
        "gazetteer@localhost",
        "Address that mail comes from",
        "an e-mail address",
        "places@example.org",
    )
    api_rate_limit: Rate = variable(
        "off",
        "How often a user, or an address of nobody in particular, may ask the API; counted by BROKER_URL's Redis for"
        " all servers, otherwise by each process",
        "a number per second, minute, hour or day, such as 600/minute; or off",
        "600/minute",
    )
    login_rate_limit: Rate = variable(
        "60/minute",
        "The same for what checks or sends a secret: logging in, signing up, resetting a password",
        "a number per second, minute, hour or day, such as 60/minute; or off",
        "60/minute",
    )
    cors_origins: Origins = variable(
        (),
        "Origins whose pages may call the API from a browser, comma-separated; * is any, none is the default",
        "comma-separated origins, such as https://maps.example.org, or *",
        "https://maps.example.org",
    )
    sentry_dsn: SentryDsn = variable(
        None,
        "Where errors are reported to, beside the log: a project of Sentry",
        "the DSN of a Sentry project, in a release that [tool.slipway] extras gives the extra sentry",
        "https://key@sentry.example.org/1",
    )
    otel_exporter_otlp_endpoint: OtlpEndpoint = variable(
        None,
        "Collector that gets a span of OpenTelemetry for each request, by OTLP over HTTP",
        "the URL of a collector, in a release that [tool.slipway] extras gives the extra opentelemetry",
        "http://collector:4318",
    )
    api_token_days: Annotated[int, Field(ge=1, le=366)] = variable(
        30, "Days until an API token expires", "a number from 1 to 366", "30"
    )
    session_days: Annotated[int, Field(ge=1, le=366)] = variable(
        14, "Days until somebody who logged in with a browser has to do so again", "a number from 1 to 366", "14"
    )
    release_version: str = variable(
        "", "Version of the release; without it, that of the installed package", "a version", "1.4.0", by_slipway=True
    )
    release_generation: str = variable("", "Number of the generation that runs", "a number", "17", by_slipway=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller only: ``os.environ`` is read where a process starts, never behind its back."""
        return (init_settings,)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Parse a mapping of variables; ``NAME_FILE`` stands for the contents of a file.

        Raises InvalidSettings with every problem there is, not just the first.
        """
        values, problems = read_variables(environ, [name.upper() for name in cls.model_fields])
        try:
            settings = cls.model_validate({name.lower(): value for name, value in values.items()})
        except ValidationError as error:
            told = {problem.variable.removesuffix("_FILE") for problem in problems}
            wrong = {str(item["loc"][0]).upper(): item for item in reversed(error.errors(include_input=False))}
            problems += [
                cls._problem(name, values.get(name), wrong[name].get("ctx", {}).get("error"))
                for name in reversed(wrong)
                if name not in told
            ]
            raise InvalidSettings(problems) from None
        if problems:
            raise InvalidSettings(problems)
        return settings

    @classmethod
    def _problem(cls, name: str, value: str | None, reason: object) -> Problem:
        field = cls.model_fields[name.lower()]
        extra = field.json_schema_extra
        expected = str(extra["expected"]) if isinstance(extra, dict) else ""
        return Problem(name, expected, got(value, str(reason or ""), secret=is_secret(field)))
