import threading
import time

import svcs
from sqlalchemy import Engine

from app.components import Lazy, build_registry
from app.database.session import Session
from app.database.transaction import Transaction
from app.geolocation.geocoding import Geocoder
from app.settings import Settings
from app.web.routes import Authenticator


def test_every_registered_component_can_be_made(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        for service in registry:
            assert components.get(service.svc_type) is not None
        assert components.get(Geocoder) is components.get(Geocoder)
        assert components.get(Authenticator) is not None


def test_registering_connects_nothing(settings: Settings) -> None:
    """Workers are forked after this, and must not share a connection."""
    missing = settings.model_copy(update={"database_url": "sqlite:////nowhere/at/all.sqlite3"})
    registry = build_registry(missing)
    with svcs.Container(registry) as components:
        assert components.get(Session).opened is None
    registry.close()


def test_the_engine_lives_as_long_as_the_process(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as one, svcs.Container(registry) as other:
        assert one.get(Engine) is other.get(Engine)


def test_each_request_has_one_session_and_it_is_its_transaction(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as one, svcs.Container(registry) as other:
        assert one.get(Session) is one.get(Session)
        assert one.get(Session) is one.get(Transaction)
        assert one.get(Session) is not other.get(Session)


def test_components_of_a_request_are_closed_in_reverse_order(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        session = components.get(Session)
        session.connection  # noqa: B018 - opens it
        assert session.opened is not None
    assert session.opened is None


def test_a_lazy_component_is_made_once_by_many_threads() -> None:
    made: list[object] = []

    def make() -> object:
        time.sleep(0.02)  # long enough for all threads to arrive
        made.append(object())
        return made[-1]

    lazy = Lazy(make, dispose=lambda component: None)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(lazy())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8


def test_only_what_was_made_is_disposed_of() -> None:
    disposed: list[str] = []
    lazy = Lazy(lambda: "engine", disposed.append)
    lazy.close()
    assert disposed == []
    lazy()
    lazy.close()
    lazy.close()
    assert disposed == ["engine"]
