"""The languages that people are spoken to in: which one it is, and how it says things.

A language is chosen once per request, mail or error page; everything said until then follows. Catalogs are gettext's,
below ``translations/``: a wheel has them compiled, a checkout reads what translators write.
"""

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.support import LazyProxy, NullTranslations, Translations

logger = logging.getLogger(__name__)

DEFAULT = "en"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "pt": "Português"}
"""Each by its own name, which is how somebody finds it who reads no other."""

CATALOGS = Path(__file__).parent / "translations"
DOMAIN = "messages"

_language: ContextVar[str] = ContextVar("language", default=DEFAULT)


def current_language() -> str:
    """Return the language that is spoken."""
    return _language.get()


def current_locale() -> Locale:
    """Return what Babel knows about it: how numbers, dates and countries are written."""
    return locale(current_language())


@cache
def locale(language: str) -> Locale:
    """Return what Babel knows about a language."""
    return Locale.parse(language)


def known(language: str | None) -> str:
    """Return a language if it is one of ours, and the default otherwise."""
    return language if language and language in LANGUAGES else DEFAULT


def speak(language: str | None) -> None:
    """Speak a language from now on in this context; one that we don't know is the default."""
    _language.set(known(language))


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Speak a language for a while."""
    token = _language.set(known(language))
    try:
        yield
    finally:
        _language.reset(token)


def preferred(accept_language: str) -> str:
    """Return the best of our languages for an Accept-Language header.

    >>> preferred("fr-CH, pt-BR;q=0.9, en;q=0.8")
    'pt'
    """
    wanted: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept_language.split(",")[:20]):
        tag, _, parameters = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        quality = _quality(parameters)
        if quality > 0 and language in LANGUAGES:
            wanted.append((-quality, position, language))
    return min(wanted)[2] if wanted else DEFAULT


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return min(float(value), 1.0) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


@cache
def catalog(language: str) -> NullTranslations:
    """Return the messages of a language; English is what the code says."""
    if language == DEFAULT:
        return NullTranslations()
    folder = CATALOGS / language / "LC_MESSAGES"
    compiled, written = folder / f"{DOMAIN}.mo", folder / f"{DOMAIN}.po"
    if written.exists():  # a checkout, where what is compiled might be old
        return Translations(io.BytesIO(compile_catalog(written)), DOMAIN)
    with compiled.open("rb") as file:
        return Translations(file, DOMAIN)


def compile_catalog(path: Path) -> bytes:
    """Return the compiled form of a catalog: the same bytes for the same text. Needs no fuzzy message to be one."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        messages = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    return compiled.getvalue()


def messages() -> NullTranslations:
    """Return the messages of the language that is spoken."""
    return catalog(current_language())


def gettext(message: str, **values: Any) -> str:
    """Return a message in the language that is spoken, with values in place of ``%(name)s``."""
    text = str(messages().gettext(message))
    return text % values if values else text


def ngettext(singular: str, plural: str, num: int, **values: Any) -> str:
    """Return the form of a message for a number, which it knows as ``%(num)s``."""
    return str(messages().ngettext(singular, plural, num)) % {"num": num, **values}


def pgettext(context: str, message: str, **values: Any) -> str:
    """Return a message that means several things, in the sense of ``context``."""
    text = str(messages().pgettext(context, message))
    return text % values if values else text


def lazy_gettext(message: str, **values: Any) -> LazyProxy:
    """Return a message that is translated when it is shown: for labels that are written once for all requests."""
    return LazyProxy(gettext, message, enable_cache=False, **values)
