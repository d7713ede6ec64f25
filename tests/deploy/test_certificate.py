"""Self-signed certificates: real clients take them for their names, and for no others."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from deploy import certificate
from deploy.secret import Secret

NAMES = ("places.example", "*.eu.example", "10.0.0.11", "fd00::7")


@pytest.fixture(scope="module")
def bundle() -> Secret:
    """Make one certificate for all tests."""
    return certificate.self_signed(NAMES)


def handshake(folder: Path, bundle: Secret, name: str) -> str | None:
    """Let Python's TLS serve with it and ask for a name; why not, when the client refuses."""
    file = folder / "bundle.pem"
    file.write_text(bundle.reveal())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cafile=str(file))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            try:
                server.wrap_socket(theirs, server_side=True).close()
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as connection:
            assert connection.version()
        return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("name", ["places.example", "a.eu.example", "10.0.0.11", "fd00::7"])
def test_clients_that_trust_it_take_it_for_each_name_and_address(tmp_path: Path, bundle: Secret, name: str) -> None:
    assert handshake(tmp_path, bundle, name) is None


def test_clients_refuse_it_for_another_name(tmp_path: Path, bundle: Secret) -> None:
    assert "Hostname mismatch" in (handshake(tmp_path, bundle, "other.example") or "")


def test_it_says_for_whom_and_until_when(bundle: Secret) -> None:
    described = certificate.describe(bundle)
    assert described
    assert set(described.names) == set(NAMES)
    assert described.self_signed
    assert [n for n in ("places.example", "a.eu.example", "a.b.eu.example") if certificate.covers(described, n)] == [
        "places.example",
        "a.eu.example",
    ]
    assert certificate.problem(bundle) is None
    assert certificate.describe(Secret("nonsense")) is None


def test_what_haproxy_could_not_serve_with_is_named(bundle: Secret) -> None:
    other = certificate.self_signed(["other.example"]).reveal()
    alone, _, key = bundle.reveal().partition("-----BEGIN PRIVATE KEY-----")
    foreign = other.partition("-----BEGIN PRIVATE KEY-----")[2]
    assert "certificate in PEM" in (certificate.problem(Secret("nonsense")) or "")
    assert "private key" in (certificate.problem(Secret(alone)) or "")
    assert "another's" in (certificate.problem(Secret(f"{alone}-----BEGIN PRIVATE KEY-----{foreign}")) or "")
    assert key
