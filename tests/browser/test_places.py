"""Finding places in a real browser."""

from tests.support.chromium import Person


def test_search_in_english(person: Person) -> None:
    person.go("/")
    assert person.heading == "Find a place"
    person.write("Name of a place", "lisb")
    person.press("Search")
    assert "517,802 inhabitants" in person.text
    assert person.complaints() == []
    person.follow("Lisbon")
    assert person.heading == "Lisbon"
    assert person.complaints() == []
    person.follow("More places nearby")
    assert len(person.find(".map .pin")) == 10
    assert person.complaints() == []
    assert person.console() == []


def test_search_in_german_in_the_dark(person: Person) -> None:
    person.speaks("de-AT,de;q=0.9")
    person.prefers("dark")
    person.go("/")
    person.write("Name eines Ortes", "Lissabon")
    person.press("Suchen")
    assert "517.802 Einwohner" in person.text
    assert person.complaints() == []
    assert person.console() == []


def test_a_visitor_may_choose_another_language(person: Person) -> None:
    person.go("/nearest")
    person.press("Português")
    assert person.heading == "Lugares mais próximos"
    person.fill(Latitude="91", Longitude="0")
    person.press("Procurar")
    assert "Isso ainda não resultou" in person.text
    assert person.complaints() == []


def test_the_keyboard_reaches_the_content_first(person: Person) -> None:
    person.go("/places")
    person.driver.switch_to.active_element.send_keys("\ue004")  # Tab
    assert person.driver.switch_to.active_element.text == "Skip to the content"
    person.driver.switch_to.active_element.send_keys("\ue007")  # Enter
    assert person.driver.switch_to.active_element.get_attribute("id") == "content"


def test_a_small_screen_needs_no_scrolling_sideways(person: Person) -> None:
    person.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        for path in ("/places?q=lisb", "/nearest?lat=48.9&lon=2.3", "/log-in"):
            person.go(path)
            assert person.driver.execute_script("return document.documentElement.scrollWidth") <= 360, path
    finally:
        person.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_is_not_there_is_a_page(person: Person) -> None:
    person.go("/nothing")
    assert person.heading == "There is nothing here"
    assert person.complaints() == []
    assert [line for line in person.console() if "404" not in line] == []
