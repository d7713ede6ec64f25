"""Write mails from the templates beside this module: a folder a language, a file a mail, its first line the subject.

Whoever translates copies the files of ``en`` to a folder of the new language's name. What is missing there is English.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from string import Template

from app.mail.models import Mail

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).with_name("templates")
SOURCE = "en"


def write(name: str, to: str, language: str | None, values: Mapping[str, str]) -> Mail:
    """Write the mail called ``name`` in the language, or the nearest there is: ``pt-BR``, ``pt``, English.

    Raises KeyError for a value that the template wants and was not given.
    """
    subject, _, text = template(name, language).partition("\n")
    return Mail(to, Template(subject).substitute(values), Template(text.lstrip("\n")).substitute(values))


def template(name: str, language: str | None) -> str:
    """Return a template's text. Raises FileNotFoundError for one that is not there in English either."""
    for folder in (*nearest(language), SOURCE):
        path = TEMPLATES / folder / f"{name}.txt"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"no mail is called {name!r}")


def nearest(language: str | None) -> list[str]:
    """Return the folders of a language, exact first; none for what is no language."""
    exact = (language or "").lower()
    if not exact.replace("-", "").isalpha():
        return []
    return [exact, exact.partition("-")[0]]
