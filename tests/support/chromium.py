"""A person at a real browser: Debian's Chromium without a screen, which reads pages aloud to axe-core."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

PROGRAMS = ("chromium", "chromedriver")
PATIENCE = 60
GRAVE = {"serious", "critical"}
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to run as root with one
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1200,1000",
)


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser, and stop it afterwards."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        message = f"{', '.join(missing)} missing; as root, type: apt-get install chromium chromium-driver"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


class Person:
    """Uses a site by what it says: fields by their labels, buttons and links by their words."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address
        self.axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")

    def speaks(self, languages: str) -> None:
        """Set what the browser asks pages to be written in."""
        agent = self.driver.execute_script("return navigator.userAgent")
        self.driver.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": languages})

    def prefers(self, scheme: str) -> None:
        """Set whether the browser asks for dark or light pages."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def go(self, path: str) -> None:
        """Type an address."""
        self.driver.get(path if path.startswith("http") else f"{self.address}{path}")

    def fill(self, **values: str) -> None:
        """Write into fields; what is in them is replaced. Labels are given with underscores for spaces."""
        for label, value in values.items():
            self.write(label.replace("_", " "), value)

    def write(self, label: str, value: str) -> None:
        """Write into the field with this label."""
        field = self.field(label)
        if field.get_attribute("type") != "file":
            field.clear()
        field.send_keys(value)

    def field(self, label: str) -> WebElement:
        """Find a field by its label."""
        found = self.driver.find_element(By.XPATH, f"//label[normalize-space()={quoted(label)}]")
        return self.driver.find_element(By.ID, str(found.get_attribute("for")))

    def press(self, words: str) -> None:
        """Press a button by its first words."""
        self._leave_by(f"//button[starts-with(normalize-space(), {quoted(words)})]")

    def follow(self, words: str) -> None:
        """Follow a link by its first words."""
        self._leave_by(f"//a[starts-with(normalize-space(), {quoted(words)})]")

    def _leave_by(self, path: str) -> None:
        """Click on something of the page itself, or else of its frame, and wait for the next page."""
        here = self.driver.find_element(By.TAG_NAME, "html")
        inner = self.driver.find_elements(By.XPATH, f"//main{path}")
        (inner[0] if inner else self.driver.find_element(By.XPATH, path)).click()
        # While a page goes, chromedriver may say that a node is not in the document, which has no class of its own.
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02, ignored_exceptions=(WebDriverException,))
        wait.until(staleness_of(here))
        wait.until(lambda driver: driver.execute_script("return document.readyState") == "complete")

    @property
    def heading(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "h1").text

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "main").text

    @property
    def path(self) -> str:
        return str(self.driver.current_url).removeprefix(self.address)

    def find(self, selector: str) -> list[WebElement]:
        """Find by a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def complaints(self) -> list[str]:
        """What a screen reader's user, or somebody with weak eyes, would stumble over on this page."""
        if not self.driver.execute_script("return typeof axe !== 'undefined'"):
            self.driver.execute_script(self.axe)
        found: dict[str, Any] = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run({resultTypes: ['violations']}).then(done);"
        )
        return [
            f"{self.path}: {violation['id']}: {node['html'][:120]}"
            for violation in found["violations"]
            if violation["impact"] in GRAVE
            for node in violation["nodes"]
        ]

    def console(self) -> list[str]:
        """What the browser wrote into its console since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]


def quoted(text: str) -> str:
    """Return text as XPath has it: it knows no escapes."""
    return f'"{text}"' if '"' not in text else f"'{text}'"
