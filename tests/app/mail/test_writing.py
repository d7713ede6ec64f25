from string import Template

import pytest

from app.auth.letter_models import PAGES, LetterKind
from app.mail.writing import SOURCE, TEMPLATES, template, write

LANGUAGES = sorted(path.name for path in TEMPLATES.iterdir())
VALUES = {"link": "http://x/verify/s", "hours": "24", "reset_page": "http://x/reset", "site": "http://x"}


def test_a_mail_is_written_in_the_nearest_language() -> None:
    subjects = {
        language: write("reset", "me@example.org", language, VALUES).subject for language in ("de", "pt-BR", "fr")
    }
    assert subjects == {
        "de": "Wählen Sie ein neues Passwort",
        "pt-BR": "Escolha uma nova senha",
        "fr": "Choose a new password",
    }
    assert write("reset", "me@example.org", None, VALUES).subject == subjects["fr"]


@pytest.mark.parametrize("language", ["../de", "", "/", "de/../en", "xx"])
def test_what_is_no_language_is_english(language: str) -> None:
    assert template("reset", language) == template("reset", SOURCE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_mail_with_the_same_values(language: str) -> None:
    files = {path.stem for path in (TEMPLATES / language).iterdir()}
    assert files == {kind.value for kind in LetterKind}
    for name in files:
        text = template(name, language)
        subject, empty, rest = text.split("\n", 2)
        assert subject
        assert empty == ""
        assert max(map(len, rest.splitlines())) <= 120
        wanted = set(Template(text).get_identifiers())
        assert wanted == set(Template(template(name, SOURCE)).get_identifiers())
        assert ("link" in wanted) == (LetterKind(name) in PAGES)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        write("reset", "me@example.org", "en", {})
    with pytest.raises(FileNotFoundError):
        write("no-such-mail", "me@example.org", "en", VALUES)
