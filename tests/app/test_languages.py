import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import babel
import pytest
import wtforms
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from app import languages
from app.languages import (
    CATALOGS,
    LANGUAGES,
    catalog,
    compile_catalog,
    current_language,
    gettext,
    lazy_gettext,
    ngettext,
    pgettext,
    preferred,
    speak,
    speaking,
)

ROOT = Path(__file__).parents[2]
TRANSLATED = sorted(LANGUAGES.keys() - {"en"})
PLACEHOLDER = re.compile(r"%\(\w+\)\w")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Every message that code and templates have, found as `make translations` finds them."""
    template = tmp_path_factory.mktemp("messages") / "messages.pot"
    script = (ROOT / "packaging/translations.sh").read_text()
    keywords = re.findall(r"-k (\S+)", script)
    options = [word for keyword in keywords for word in ("-k", keyword)]
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "pyproject.toml", *options]
    subprocess.run([*command, "-o", str(template), "app"], cwd=ROOT, check=True, timeout=60)
    with template.open("rb") as file:
        return read_po(file)


def written(language: str) -> Catalog:
    with (CATALOGS / language / "LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file, locale=language)


def key(message: Message) -> tuple[object, ...]:
    return message.context, message.id


def forms(text: object) -> Iterator[str]:
    yield from [text] if isinstance(text, str) else text  # type: ignore[misc]


def test_there_is_something_to_translate(extracted: Catalog) -> None:
    assert len(extracted) > 50
    assert TRANSLATED == ["de", "pt"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_message_is_missing_fuzzy_or_left_over(language: str, extracted: Catalog) -> None:
    """When this fails: `make translations`, then fill in what is empty."""
    found = written(language)
    assert {key(message) for message in extracted if message.id} == {key(message) for message in found if message.id}
    assert not [message.id for message in found if message.id and (message.fuzzy or not all(forms(message.string)))]
    assert not found.obsolete


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_keep_the_placeholders(language: str) -> None:
    for message in written(language):
        wanted = set(PLACEHOLDER.findall(" ".join(forms(message.id))))
        for form in forms(message.string) if message.id else ():
            assert set(PLACEHOLDER.findall(form)) <= wanted, message.id
        assert wanted <= set(PLACEHOLDER.findall(" ".join(forms(message.string)))), message.id


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-CH, pt-BR;q=0.9, en;q=0.8", "pt"),
        ("en;q=0.1, pt;q=0.2", "pt"),
        ("de;q=0, en", "en"),
        ("DE", "de"),
        ("de;q=x", "en"),
        ("de;level=1", "de"),
        ("*", "en"),
        (",;,=;q", "en"),
        ("xx," * 1000 + "de", "en"),
    ],
)
def test_the_best_language_for_a_browser(header: str, language: str) -> None:
    assert preferred(header) == language


def test_what_is_spoken_follows_and_comes_back() -> None:
    label = lazy_gettext("Password")
    with speaking("de"):
        assert (gettext("Password"), str(label), current_language()) == ("Passwort", "Passwort", "de")
        with speaking("pt"):
            assert str(label) == "Palavra-passe"
        with speaking("xx"):
            assert str(label) == "Password"
        assert ngettext("%(num)s place", "%(num)s places", 1) == "1 Ort"
        assert ngettext("%(num)s place", "%(num)s places", 2) == "2 Orte"
        assert pgettext("east", "E") == "O"
        assert gettext("Map of the surroundings of %(name)s", name="Ulm") == "Karte der Umgebung von Ulm"
    assert (str(label), current_language()) == ("Password", "en")
    assert pgettext("east", "E") == "E"
    speak("de")
    assert str(label) == "Passwort"
    speak(None)
    assert str(label) == "Password"


def test_a_wheels_compiled_catalog_says_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = CATALOGS / "de/LC_MESSAGES/messages.po"
    compiled = compile_catalog(source)
    assert compiled == compile_catalog(source), "the same bytes each time"
    folder = tmp_path / "de/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.mo").write_bytes(compiled)
    monkeypatch.setattr(languages, "CATALOGS", tmp_path)
    assert catalog.__wrapped__("de").gettext("Password") == "Passwort"


def test_a_release_has_what_babel_reads_of_our_languages_and_of_no_other() -> None:
    """The contract leaves the rest out."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["slipway"]
    data = Path(babel.__file__).parent / "locale-data"
    names = {path.name for path in data.glob("*.dat")}
    left = {name for name in names if not any(fnmatchcase(f"babel/locale-data/{name}", p) for p in contract["exclude"])}
    assert left >= {"root.dat", *(f"{language}.dat" for language in LANGUAGES)}
    assert len(left) < 10 < len(names)
    forms = {path.name for path in (Path(wtforms.__file__).parent / "locale").iterdir() if path.is_dir()}
    kept = {name for name in forms if not any(fnmatchcase(f"wtforms/locale/{name}/x", p) for p in contract["exclude"])}
    assert kept >= LANGUAGES.keys()
    assert len(kept) < 10 < len(forms)
