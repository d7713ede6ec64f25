"""Everything a process is made of, registered in one place by type and made when it is first asked for.

Two lifetimes: of the process (made once, even by several threads at once, and only after a worker has been forked) and
of the request (one container each, closed before the response leaves). Both are closed in reverse order.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import svcs
from sqlalchemy import Engine

from app.about import NAME, installed_version
from app.auth.access import KeptAccess
from app.auth.accounts import Accounts
from app.auth.credentials import Credentials
from app.auth.failure_repository import FailureRepository, SqlFailureRepository
from app.auth.letter_repository import LetterRepository, SqlLetterRepository
from app.auth.letters import Letters
from app.auth.passwords import Argon2Hasher, PasswordHasher
from app.auth.repository import SqlTokenRepository, TokenRepository
from app.auth.second_factor_repository import SecondFactorRepository, SqlSecondFactorRepository
from app.auth.second_factors import SecondFactors
from app.auth.services import Tokens
from app.auth.session_repository import SessionRepository, SqlSessionRepository
from app.auth.sessions import Sessions
from app.background import JOBS
from app.clock import Clock, SystemClock
from app.database.engine import make_engine
from app.database.session import Session
from app.database.target import Target
from app.database.transaction import Transaction
from app.database.watching import watch_pool
from app.geolocation.answers import GeocoderAnswers, RememberingGeocoder, SqlGeocoderAnswers
from app.geolocation.geocoding import Geocoder, PlaceGeocoder
from app.geolocation.landmarks import LEAST_POPULATION, Landmarks
from app.geolocation.repository import PlaceRepository, SqlPlaceRepository
from app.geolocation.services import Places
from app.idempotency.repository import AnswerRepository, SqlAnswerRepository
from app.idempotency.services import Answers
from app.jobs.address import broker_url
from app.jobs.at_once import AtOnce
from app.jobs.models import JobQueue
from app.jobs.runner import JobRunner
from app.mail.mailers import Mailer, mailer_for
from app.middleware.metrics import RequestMetrics
from app.saved_places.import_repository import ImportRepository, SqlImportRepository
from app.saved_places.importing import Imports
from app.saved_places.repository import SavedPlaceRepository, SqlSavedPlaceRepository
from app.saved_places.services import SavedPlaces
from app.settings import Settings
from app.users.access import Access
from app.users.admin import UserAdmin
from app.users.repository import SqlUserRepository, UserRepository
from app.users.services import Users
from app.web.idempotency import KeptAnswers
from app.web.limits import Rate, RateLimits
from app.web.paging import Cursors
from app.web.routes import Authenticator
from app.web.visitors import Visitors

if TYPE_CHECKING:
    from limits.storage import Storage

    from app.jobs.broker import Broker

logger = logging.getLogger(__name__)

ComponentT = TypeVar("ComponentT")


class Lazy(Generic[ComponentT]):
    """Makes a component of the process at the first call; ``close`` disposes of it if it was ever made."""

    def __init__(self, make: Callable[[], ComponentT], dispose: Callable[[ComponentT], None]) -> None:
        self.make = make
        self.dispose = dispose
        self.lock = threading.Lock()
        self.made: list[ComponentT] = []

    def __call__(self) -> ComponentT:
        with self.lock:
            if not self.made:
                self.made.append(self.make())
            return self.made[0]

    def close(self) -> None:
        """Dispose of the component; asked again, it would be made anew."""
        with self.lock:
            while self.made:
                self.dispose(self.made.pop())


def build_registry(settings: Settings) -> svcs.Registry:
    """Register every component. Nothing is made, opened or connected yet."""
    registry = svcs.Registry()
    registry.register_value(Settings, settings)
    registry.register_value(Clock, SystemClock())
    metrics = RequestMetrics(release_info(settings))
    registry.register_value(RequestMetrics, metrics)
    engine = Lazy(lambda: watch_pool(make_engine(Target.of(settings)), metrics.connections), Engine.dispose)
    registry.register_factory(Engine, engine, on_registry_close=engine.close)
    registry.register_factory(Session, open_session)
    registry.register_factory(Transaction, session_as_transaction, enter=False)
    register_delivery(registry, settings)
    register_geolocation(registry, settings)
    register_saved_places(registry, settings)
    register_users(registry)
    register_credentials(registry)
    register_sign_in(registry)
    register_accounts(registry, settings)
    register_jobs(registry, settings, metrics)
    return registry


def of_session(kind: Callable[[Session], ComponentT]) -> Callable[[svcs.Container], ComponentT]:
    """Return a factory of what needs the request's session and nothing else: repositories do."""

    def make(components: svcs.Container) -> ComponentT:
        return kind(components.get(Session))

    return make


def release_info(settings: Settings) -> dict[str, str]:
    """Return what metrics say of what runs."""
    version = settings.release_version or installed_version()
    return {"name": NAME, "version": version, "generation": settings.release_generation}


def register_delivery(registry: svcs.Registry, settings: Settings) -> None:
    """Register what requests have in common, whatever they ask for."""

    def storage() -> "Storage":
        from limits.storage import MemoryStorage, RedisStorage

        if not settings.broker_url:
            return MemoryStorage()
        return RedisStorage(
            broker_url(settings), key_prefix=f"{NAME}:limits", socket_timeout=1, socket_connect_timeout=1
        )

    def answers(components: svcs.Container) -> Answers:
        return Answers(*components.get(AnswerRepository, Transaction, Clock))

    def kept_answers(components: svcs.Container) -> KeptAnswers:
        return components.get(Answers)

    rates = {"api": Rate.parse(settings.api_rate_limit), "login": Rate.parse(settings.login_rate_limit)}
    registry.register_value(RateLimits, RateLimits(rates, storage))
    registry.register_value(Cursors, Cursors(settings))
    registry.register_factory(AnswerRepository, of_session(SqlAnswerRepository))
    registry.register_factory(Answers, answers)
    registry.register_factory(KeptAnswers, kept_answers)


def register_jobs(registry: svcs.Registry, settings: Settings, metrics: RequestMetrics) -> None:
    """Register what does jobs, and what takes them: a broker, where there is one."""
    runner = JobRunner(registry, JOBS, metrics.job)
    registry.register_value(JobRunner, runner)
    if not settings.broker_url:
        registry.register_value(JobQueue, AtOnce(runner))
        return

    def connect() -> "Broker":
        from app.jobs.broker import Broker, make_celery

        return Broker(make_celery(settings))

    broker = Lazy(connect, lambda made: made.close())
    registry.register_factory(JobQueue, broker, on_registry_close=broker.close)


def register_geolocation(registry: svcs.Registry, settings: Settings) -> None:
    """Register what finds places."""

    def places(components: svcs.Container) -> Places:
        return Places(components.get(PlaceRepository))

    def own(components: svcs.Container) -> Geocoder:
        return PlaceGeocoder(components.get(PlaceRepository))

    def landmarks() -> Landmarks:
        with svcs.Container(registry) as components:
            return Landmarks(components.get(PlaceRepository).positions(LEAST_POPULATION))

    known = Lazy(landmarks, lambda made: None)
    registry.register_factory(Landmarks, known, on_registry_close=known.close)
    registry.register_factory(PlaceRepository, of_session(SqlPlaceRepository))
    registry.register_factory(Places, places)
    registry.register_factory(GeocoderAnswers, of_session(SqlGeocoderAnswers))
    if settings.geocoder == "nominatim":
        register_nominatim(registry, settings)
    else:
        registry.register_factory(Geocoder, own)


def register_nominatim(registry: svcs.Registry, settings: Settings) -> None:
    """Register a geocoder that asks a server, and remembers what it said."""
    url = settings.nominatim_url or ""

    def connect() -> Geocoder:
        from app.geolocation.nominatim import NominatimGeocoder, Server

        agent = f"{NAME}/{settings.release_version or installed_version()}"
        return NominatimGeocoder(Server(url, settings.nominatim_timeout, agent))

    nominatim = Lazy(connect, lambda made: None)
    keep = timedelta(days=settings.geocoder_cache_days)

    def geocoder(components: svcs.Container) -> Geocoder:
        parts = components.get(GeocoderAnswers, Transaction, Clock)
        return RememberingGeocoder(nominatim(), *parts, service=url, keep=keep)

    registry.register_factory(Geocoder, geocoder)


def register_saved_places(registry: svcs.Registry, settings: Settings) -> None:
    """Register what keeps users' lists of places."""
    patience = timedelta(seconds=settings.job_seconds + 30)  # no job lasts as long

    def saved_places(components: svcs.Container) -> SavedPlaces:
        return SavedPlaces(*components.get(SavedPlaceRepository, Places, Transaction, Clock))

    def imports(components: svcs.Container) -> Imports:
        return Imports(
            saved=components.get(SavedPlaces),
            lists=components.get(SavedPlaceRepository),
            imports=components.get(ImportRepository),
            transaction=components.get(Transaction),
            queue=components.get(JobQueue),
            clock=components.get(Clock),
            patience=patience,
        )

    registry.register_factory(SavedPlaceRepository, of_session(SqlSavedPlaceRepository))
    registry.register_factory(ImportRepository, of_session(SqlImportRepository))
    registry.register_factory(SavedPlaces, saved_places)
    registry.register_factory(Imports, imports)


def open_session(components: svcs.Container) -> Session:
    """Give the request its session: the container closes it, which rolls back whatever was not committed."""
    return Session(components.get(Engine))


def session_as_transaction(components: svcs.Container) -> Transaction:
    """Let the request's session be the transaction of its use cases."""
    return components.get(Session)


def register_users(registry: svcs.Registry) -> None:
    """Register what knows users."""

    def users(components: svcs.Container) -> Users:
        return Users(*components.get(UserRepository, Transaction, PasswordHasher, Clock))

    def user_admin(components: svcs.Container) -> UserAdmin:
        return UserAdmin(*components.get(UserRepository, Access, Transaction))

    def access(components: svcs.Container) -> Access:
        return KeptAccess(*components.get(SessionRepository, TokenRepository, LetterRepository))

    registry.register_value(PasswordHasher, Argon2Hasher())
    registry.register_factory(UserRepository, of_session(SqlUserRepository))
    registry.register_factory(Access, access)
    registry.register_factory(Users, users)
    registry.register_factory(UserAdmin, user_admin)


def register_credentials(registry: svcs.Registry) -> None:
    """Register what knows who somebody is."""

    def credentials(components: svcs.Container) -> Credentials:
        return Credentials(
            users=components.get(UserRepository),
            failures=components.get(FailureRepository),
            factors=components.get(SecondFactorRepository),
            transaction=components.get(Transaction),
            hasher=components.get(PasswordHasher),
            clock=components.get(Clock),
            settings=components.get(Settings),
        )

    registry.register_factory(SecondFactorRepository, of_session(SqlSecondFactorRepository))
    registry.register_factory(FailureRepository, of_session(SqlFailureRepository))
    registry.register_factory(Credentials, credentials)


def register_sign_in(registry: svcs.Registry) -> None:
    """Register what recognises somebody at each request: by API token or by session."""

    def tokens(components: svcs.Container) -> Tokens:
        return Tokens(
            users=components.get(UserRepository),
            tokens=components.get(TokenRepository),
            transaction=components.get(Transaction),
            credentials=components.get(Credentials),
            clock=components.get(Clock),
            settings=components.get(Settings),
        )

    def sessions(components: svcs.Container) -> Sessions:
        return Sessions(
            users=components.get(UserRepository),
            sessions=components.get(SessionRepository),
            transaction=components.get(Transaction),
            credentials=components.get(Credentials),
            clock=components.get(Clock),
            settings=components.get(Settings),
        )

    def authenticator(components: svcs.Container) -> Authenticator:
        return components.get(Tokens)

    def visitors(components: svcs.Container) -> Visitors:
        return components.get(Sessions)

    registry.register_factory(TokenRepository, of_session(SqlTokenRepository))
    registry.register_factory(SessionRepository, of_session(SqlSessionRepository))
    registry.register_factory(Tokens, tokens)
    registry.register_factory(Sessions, sessions)
    registry.register_factory(Authenticator, authenticator)
    registry.register_factory(Visitors, visitors)


def register_accounts(registry: svcs.Registry, settings: Settings) -> None:
    """Register what people sign up with, and what writes to them."""

    def mailer(components: svcs.Container) -> Mailer:
        return mailer_for(settings, components.get(Clock))

    def letters(components: svcs.Container) -> Letters:
        return Letters(
            letters=components.get(LetterRepository),
            transaction=components.get(Transaction),
            queue=components.get(JobQueue),
            mailer=components.get(Mailer),
            clock=components.get(Clock),
            settings=components.get(Settings),
        )

    def accounts(components: svcs.Container) -> Accounts:
        return Accounts(
            users=components.get(UserRepository),
            sessions=components.get(SessionRepository),
            access=components.get(Access),
            letters=components.get(Letters),
            credentials=components.get(Credentials),
            transaction=components.get(Transaction),
            hasher=components.get(PasswordHasher),
            clock=components.get(Clock),
        )

    registry.register_factory(Mailer, mailer)
    registry.register_factory(LetterRepository, of_session(SqlLetterRepository))
    registry.register_factory(Letters, letters)

    def second_factors(components: svcs.Container) -> SecondFactors:
        return SecondFactors(
            factors=components.get(SecondFactorRepository),
            credentials=components.get(Credentials),
            letters=components.get(Letters),
            transaction=components.get(Transaction),
            clock=components.get(Clock),
            settings=components.get(Settings),
        )

    registry.register_factory(SecondFactors, second_factors)
    registry.register_factory(Accounts, accounts)
