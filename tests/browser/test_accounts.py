"""From no account to a list of one's own, in a real browser, with letters that really arrive."""

import subprocess
import sys
from pathlib import Path

import pyotp
from selenium.webdriver.common.by import By

from tests.support.chromium import Person
from tests.support.mailbox import Mailbox, link_in, text_of

PASSWORD = "correct horse battery staple"
ROOT = Path(__file__).parents[2]

CSV = "name;latitude;longitude;note\nAlfama;38,7118;-9,1300;old\nNowhere;99;0;\nBelém;38,6970;-9,2063;\n"


def sign_up(person: Person, mail: Mailbox, email: str) -> None:
    """Get an account in English, and log in."""
    person.go("/sign-up")
    person.write("Name", "Ada")
    person.write("E-mail address", email)
    person.write("New password", PASSWORD)
    person.write("Once more", PASSWORD)
    person.press("Sign up")
    assert person.heading == "Look into your mail"
    person.go(link_in(mail.take(email)))
    person.press("Confirm")
    assert "Your address is confirmed" in person.text
    log_in(person, email)


def log_in(person: Person, email: str) -> None:
    person.go("/log-in")
    person.write("E-mail address", email)
    person.write("Password", PASSWORD)
    person.press("Log in")


def test_sign_up_save_import_export(person: Person, mail: Mailbox, tmp_path: Path) -> None:
    person.go("/sign-up")
    assert person.complaints() == []
    person.press("Sign up")
    assert "That did not work yet" in person.text
    assert person.complaints() == []
    sign_up(person, mail, "ada@example.org")

    person.go("/places?q=lisbon")
    person.follow("Lisbon")
    person.follow("Save this place")
    person.driver.find_element(By.XPATH, "//label[normalize-space()='A new list']").click()
    person.write("Name of the new list", "Três dias")
    person.write("Note", "Pastéis <b>de nata</b>")
    assert person.complaints() == []
    person.press("Save")
    assert person.heading == "Três dias"
    assert "Lisbon is saved." in person.text
    assert "Pastéis <b>de nata</b>" in person.text
    assert person.complaints() == []

    file = tmp_path / "places.csv"
    file.write_text(CSV, encoding="utf-8")
    person.follow("Import")
    person.write("File", str(file))
    assert person.complaints() == []
    person.press("Import")
    assert person.heading == "Import done"
    assert "latitude is not between -90 and 90" in person.text
    assert person.complaints() == []
    person.follow("To the list")
    assert len(person.find(".map .pin")) == 3

    person.follow("Saved")
    assert person.complaints() == []
    person.press("Log out")
    assert "You have logged out." in person.text
    assert [line for line in person.console() if "422" not in line] == []


def test_everything_of_an_account_in_german_and_in_the_dark(person: Person, mail: Mailbox) -> None:
    sign_up(person, mail, "bea@example.org")
    person.prefers("dark")
    person.go("/account")
    person.driver.find_element(By.CSS_SELECTOR, "#language option[value=de]").click()
    person.press("Save")
    assert person.heading == "Konto"
    assert "Gespeichert." in person.text
    assert person.complaints() == []
    for link, heading in (
        ("Adresse ändern", "Adresse ändern"),
        ("Passwort ändern", "Passwort ändern"),
        ("Sitzungen", "Sitzungen"),
        ("API-Token", "API-Token"),
    ):
        person.go("/account")
        person.follow(link)
        assert person.heading == heading
        assert person.complaints() == []
    person.write("Name", "Sicherung")
    person.press("Token anlegen")
    assert "gzt_" in person.text
    assert person.complaints() == []
    person.press("Abmelden")
    assert person.console() == []


def test_a_forgotten_password_in_portuguese(person: Person, mail: Mailbox) -> None:
    sign_up(person, mail, "eva@example.org")
    person.press("Log out")
    person.speaks("pt-PT,pt;q=0.9")
    person.go("/log-in")
    person.follow("Esqueceu a palavra-passe?")
    person.write("Endereço de e-mail", "eva@example.org")
    assert person.complaints() == []
    person.press("Enviar a carta")
    assert person.heading == "Veja o seu correio"
    letter = mail.take("eva@example.org")
    person.go(link_in(letter))
    person.write("Nova palavra-passe", PASSWORD + "!")
    person.write("Mais uma vez", PASSWORD + "!")
    assert person.complaints() == []
    person.press("Definir a palavra-passe")
    assert "A sua palavra-passe foi alterada." in person.text
    assert text_of(letter)
    assert person.console() == []


def test_an_admin_finds_a_user_and_keeps_them_out(person: Person, mail: Mailbox, environ: dict[str, str]) -> None:
    sign_up(person, mail, "mallory@example.org")
    person.press("Log out")
    sign_up(person, mail, "root@example.org")
    command = [sys.executable, "-m", "app", "users", "promote", "root@example.org"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, timeout=60)
    person.go("/places")
    person.follow("Users")
    person.write("Part of a name or an address", "MALLORY")
    assert person.complaints() == []
    person.press("Search")
    person.follow("Ada")
    assert person.complaints() == []
    person.driver.find_element(By.XPATH, "//label[normalize-space()='May log in']").click()
    person.press("Save")
    assert "Saved." in person.text
    person.press("Log out")
    log_in(person, "mallory@example.org")
    assert "don't belong together" in person.text
    assert [line for line in person.console() if "422" not in line] == []


def test_a_second_factor(person: Person, mail: Mailbox) -> None:
    sign_up(person, mail, "two@example.org")
    person.go("/account/second-factor")
    person.write("Current password", PASSWORD)
    assert person.complaints() == []
    person.press("Set it up")
    authenticator = pyotp.TOTP(person.find("code.secret")[0].text.replace(" ", ""))
    assert person.complaints() == []
    assert person.find(".qr svg path")[0].size["height"] > 100, "large enough for a camera"
    person.write("Code", authenticator.now())
    person.press("Turn it on")
    recovery = person.find(".codes code")[0].text
    assert person.complaints() == []
    person.press("Log out")
    log_in(person, "two@example.org")
    assert person.heading == "Second factor"
    assert person.complaints() == []
    person.write("Code", recovery)
    person.press("Go on")
    person.go("/account/second-factor")
    assert "9 recovery codes left" in person.text
    assert person.complaints() == []
    assert person.console() == []
