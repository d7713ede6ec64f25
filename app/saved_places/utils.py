"""Pure helpers: what a place that is to be saved must look like."""

import logging
import math
import unicodedata

from app.saved_places.models import PlaceDraft

logger = logging.getLogger(__name__)

LONGEST_NAME = 200
LONGEST_NOTE = 2000
LARGEST_ID = 2**31 - 1


def draft(name: str, latitude: float, longitude: float, note: str = "", place_id: int | None = None) -> PlaceDraft:
    """Return a place as it is kept. Raises ValueError with all that is wrong with it."""
    name, note = name.strip(), clean_note(note)
    wrong = [
        *name_faults(name, "name", LONGEST_NAME),
        *position_faults(latitude, longitude),
        *note_faults(note),
    ]
    if not name:
        wrong.insert(0, "name is empty")
    if place_id is not None and not 1 <= place_id <= LARGEST_ID:
        wrong.append("place_id is no id of a place")
    if wrong:
        raise ValueError("; ".join(wrong))
    return PlaceDraft(name, float(latitude), float(longitude), note, place_id)


def clean_note(note: str) -> str:
    """Return a note with the line ends of Unix, and without space around it."""
    return note.replace("\r\n", "\n").replace("\r", "\n").strip()


def checked_note(note: str) -> str:
    """Return a note as it is kept. Raises ValueError with what is wrong with it."""
    cleaned = clean_note(note)
    if faults := note_faults(cleaned):
        raise ValueError("; ".join(faults))
    return cleaned


def name_faults(text: str, what: str, longest: int) -> list[str]:
    """Say what is wrong with text of one line."""
    kinds = {unicodedata.category(character) for character in set(text)}
    faults = [f"{what} is not UTF-8"] if "Cs" in kinds else []
    if "Cc" in kinds:
        faults.append(f"{what} has control characters")
    if len(text) > longest:
        faults.append(f"{what} is longer than {longest} characters")
    return faults


def note_faults(note: str) -> list[str]:
    """Say what is wrong with a note, which may have several lines."""
    return name_faults(note.replace("\n", " ").replace("\t", " "), "note", LONGEST_NOTE)


def position_faults(latitude: float, longitude: float) -> list[str]:
    """Say what is wrong with a position."""
    faults = []
    if not (math.isfinite(latitude) and -90 <= latitude <= 90):
        faults.append("latitude is not between -90 and 90")
    if not (math.isfinite(longitude) and -180 <= longitude <= 180):
        faults.append("longitude is not between -180 and 180")
    return faults
