import io
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.clock import FixedClock
from app.mail.mailers import ConsoleMailer, NoMailer, SmtpMailer, mailer_for
from app.mail.models import Mail, MailFailed
from app.settings import Settings
from tests.support import mail as support

CLOCK = FixedClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
MAIL = Mail("me@example.org", "Bestätigen Sie", "Grüße\n\nhttp://localhost:8000/verify/secret\n")


@pytest.fixture(scope="module")
def inbox() -> Iterator[support.Inbox]:
    with support.serving() as inbox:
        yield inbox


def smtp(settings: Settings, url: str, **changes: object) -> SmtpMailer:
    return SmtpMailer(settings.model_copy(update={"smtp_url": url, **changes}), CLOCK)


def test_a_mail_arrives_as_it_was_written(settings: Settings, inbox: support.Inbox) -> None:
    smtp(settings, inbox.url, mail_from="places@example.org").send(MAIL)
    arrived = inbox.to("me@example.org")
    assert (arrived["From"], arrived["Subject"]) == ("places@example.org", MAIL.subject)
    assert arrived.get_content().replace("\r\n", "\n") == MAIL.text
    assert arrived["Date"].datetime == CLOCK.now()
    assert arrived["Message-ID"].endswith("@example.org>")
    assert arrived["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("to", ["a,b@example.org", "<x>@example.org", 'q"q@example.org', "(c)@example.org"])
def test_an_odd_address_stays_one(settings: Settings, inbox: support.Inbox, to: str) -> None:
    before = len(inbox.mails)
    smtp(settings, inbox.url).send(Mail(to, "Odd", "text"))
    (arrived,) = inbox.mails[before:]
    (address,) = arrived["To"].addresses
    assert (address.username, address.domain) == tuple(to.rsplit("@", 1))


def test_a_subject_of_two_lines_brings_no_header(settings: Settings, inbox: support.Inbox) -> None:
    before = len(inbox.mails)
    with pytest.raises(MailFailed):
        smtp(settings, inbox.url).send(Mail("me@example.org", "Hello\nBcc: you@example.org", "text"))
    assert len(inbox.mails) == before


def test_a_refused_recipient_is_told_without_the_address(settings: Settings, inbox: support.Inbox) -> None:
    with pytest.raises(MailFailed, match="refused the recipient") as caught:
        smtp(settings, inbox.url).send(Mail("refused@example.org", "Hello", "text"))
    assert "550" in str(caught.value)
    assert "example.org" not in str(caught.value)


def test_a_server_that_is_not_there_or_says_nonsense_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MailFailed, match="can't be asked: Connection refused"):
        smtp(settings, f"smtp://127.0.0.1:{port}").send(MAIL)


def test_a_server_without_encryption_gets_no_password(settings: Settings, inbox: support.Inbox) -> None:
    url = inbox.url.replace("smtp://", "smtp+starttls://me@")
    with pytest.raises(MailFailed):
        smtp(settings, url).send(MAIL)


def test_in_development_mail_is_shown_where_the_server_runs() -> None:
    stream = io.StringIO()
    ConsoleMailer(stream).send(MAIL)
    assert "me@example.org: Bestätigen Sie" in stream.getvalue()
    assert "/verify/secret" in stream.getvalue()


def test_a_site_without_a_mail_server_says_so(settings: Settings) -> None:
    with pytest.raises(MailFailed, match="SMTP_URL is not set"):
        NoMailer().send(MAIL)
    kinds = {
        (environment, url): type(
            mailer_for(settings.model_copy(update={"environment": environment, "smtp_url": url}), CLOCK)
        )
        for environment in ("development", "production")
        for url in (None, "smtp://mail")
    }
    assert kinds == {
        ("development", None): ConsoleMailer,
        ("development", "smtp://mail"): SmtpMailer,
        ("production", None): NoMailer,
        ("production", "smtp://mail"): SmtpMailer,
    }


def test_a_mail_is_not_shown_in_logs() -> None:
    assert repr(MAIL) == "Mail()"
