"""How mail leaves: the port, its adapter on SMTP, one for a terminal, and its twin in memory."""

import logging
import sys
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Protocol, TextIO
from urllib.parse import urlsplit

from app.clock import Clock
from app.mail.models import Mail, MailFailed
from app.settings import Settings

if TYPE_CHECKING:
    import smtplib

logger = logging.getLogger(__name__)

SECONDS = 10.0
"""How long a mail server may take to answer."""

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Mailer(Protocol):
    """Sends mail."""

    def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailFailed."""
        ...


class SmtpMailer:
    """Mail by the server of ``SMTP_URL``, a connection each."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock

    def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailFailed, without the address that SMTP's own errors repeat."""
        import smtplib

        try:
            message = compose(mail, self.settings.mail_from, self.clock)
            with self._connect() as server:
                server.send_message(message, self.settings.mail_from, [address_of(mail.to).addr_spec])
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise MailFailed(f"the mail server refused the recipient: {codes}") from None
        except smtplib.SMTPResponseException as error:
            raise MailFailed(f"the mail server refused: {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise MailFailed(f"the mail server can't be asked: {reason}") from None
        except ValueError:
            raise MailFailed("that is no address that a mail can have") from None

    def _connect(self) -> "smtplib.SMTP":
        import smtplib
        import ssl

        parts = urlsplit(self.settings.smtp_url or "")
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=SECONDS)
        try:
            if parts.scheme == "smtp+starttls":
                server.starttls(context=context)
            if self.settings.smtp_password is not None:
                server.login(parts.username or "", self.settings.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def compose(mail: Mail, sender: str, clock: Clock) -> EmailMessage:
    """Write a mail as servers take it. Raises ValueError for an address that can't be written."""
    message = EmailMessage()
    message["From"] = address_of(sender)
    message["To"] = address_of(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # no answers from absence notices (RFC 3834)
    message.set_content(mail.text)
    return message


def address_of(text: str) -> Address:
    """Return an address whose odd characters are quoted, so that it stays one. Raises ValueError."""
    user, _, domain = text.rpartition("@")
    return Address(username=user, domain=domain)


class ConsoleMailer:
    """Mail shown where a developer sees it: the server's terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    def send(self, mail: Mail) -> None:
        """Write the mail down."""
        stream = self.stream or sys.stderr
        stream.write(f"--- mail to {mail.to}: {mail.subject}\n{mail.text.rstrip()}\n---\n")
        stream.flush()


class NoMailer:
    """What a site has whose ``SMTP_URL`` is not set: each mail fails, and says why."""

    def send(self, mail: Mail) -> None:
        """Refuse. Raises MailFailed."""
        raise MailFailed("SMTP_URL is not set")


class InMemoryMailer:
    """Mail in a list. Told that it is ``down``, it fails."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.down = False

    def send(self, mail: Mail) -> None:
        """Keep the mail. Raises MailFailed when told so."""
        if self.down:
            raise MailFailed("the mail server is down")
        self.sent.append(mail)


def mailer_for(settings: Settings, clock: Clock) -> Mailer:
    """Return what sends this site's mail: its mail server, or in development the terminal."""
    if settings.smtp_url:
        return SmtpMailer(settings, clock)
    return ConsoleMailer() if settings.environment == "development" else NoMailer()
