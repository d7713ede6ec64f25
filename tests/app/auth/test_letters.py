import dataclasses
from datetime import timedelta

import pytest

from app.auth.letter_models import LetterKind
from app.auth.letters import ENOUGH, SEND, Letters
from app.errors import NotFound

from .conftest import World

ADDRESS = "you@example.org"


@pytest.fixture
def letters(world: World) -> Letters:
    return world.letters


def test_a_letter_is_sent_by_a_job_and_its_link_leads_back_to_it(letters: Letters, world: World) -> None:
    letters.post(LetterKind.SIGN_UP, ADDRESS, name="You", password_hash="hash", language="pt-BR")
    assert world.mailer.sent == []
    ((name, arguments),) = world.queue.jobs
    assert (name, list(arguments)) == (SEND, ["id"]), "a broker learns neither address nor link"
    secret = world.post()
    (mail,) = world.mailer.sent
    assert (mail.to, mail.subject) == (ADDRESS, "Confirme o seu endereço de e-mail")
    assert f"http://localhost:8000/verify/{secret}" in mail.text
    found = letters.open(LetterKind.SIGN_UP, secret)
    assert (found.email, found.name, found.password_hash) == (ADDRESS, "You", "hash")


def test_the_secret_of_a_link_is_kept_nowhere(letters: Letters, world: World) -> None:
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    secret = world.post()
    (kept,) = world.kept_letters.letters.values()
    assert secret.rpartition(".")[2] not in str(dataclasses.asdict(kept))
    assert ADDRESS not in repr(kept)


@pytest.mark.parametrize(
    "changed",
    [
        lambda secret: "",
        lambda secret: "x",
        lambda secret: secret[:-1],
        lambda secret: secret.swapcase(),
        lambda secret: secret.partition(".")[0],
        lambda secret: "x" + secret,
        lambda secret: "\udcff" + secret,
        lambda secret: "é.é",
    ],
)
def test_a_link_that_was_not_written_here_is_refused(letters: Letters, world: World, changed) -> None:
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    with pytest.raises(NotFound):
        letters.open(LetterKind.RESET, changed(world.post()))


def test_a_link_is_good_for_one_purpose_one_time_and_some_time(letters: Letters, world: World) -> None:
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    secret = world.post()
    for kind in (LetterKind.SIGN_UP, LetterKind.EMAIL):
        with pytest.raises(NotFound):
            letters.open(kind, secret)
    letter = letters.open(LetterKind.RESET, secret)
    assert letters.open(LetterKind.RESET, secret).id == letter.id, "looking uses nothing up"
    letters.take(letter)
    with pytest.raises(NotFound):
        letters.take(letter)
    with pytest.raises(NotFound):
        letters.open(LetterKind.RESET, secret)
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    later = world.post()
    world.clock.moment += timedelta(hours=1)
    with pytest.raises(NotFound):
        letters.open(LetterKind.RESET, later)


def test_a_letter_is_sent_once_however_often_its_job_is_done(letters: Letters, world: World) -> None:
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    world.queue.jobs *= 3
    world.post()
    assert letters.send_due() == 0
    assert not letters.send("no such letter")


def test_what_the_mail_server_refused_is_sent_later_and_less_and_less_often(
    letters: Letters, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.mailer.down = True
    letters.post(LetterKind.EMAIL, ADDRESS, user_id=1)
    ((_, arguments),) = world.queue.jobs
    tried = []
    for minute in range(20):
        before = sum("not sent" in record.message for record in caplog.records)
        assert not letters.send(arguments["id"])
        if sum("not sent" in record.message for record in caplog.records) > before:
            tried.append(minute)
        world.clock.moment += timedelta(minutes=1)
    assert tried == [0, 1, 3, 7, 15]
    world.mailer.down = False
    world.clock.moment += timedelta(hours=1)
    assert letters.send_due() == 1
    assert ADDRESS not in caplog.text


def test_what_could_not_be_queued_is_sent_by_the_next_round(letters: Letters, world: World) -> None:
    world.queue.down = True
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    assert letters.send_due() == 1
    assert len(world.mailer.sent) == 1


def test_nobody_is_flooded(letters: Letters, world: World) -> None:
    for _ in range(ENOUGH + 3):
        letters.post(LetterKind.RESET_UNKNOWN, ADDRESS)
    letters.post(LetterKind.PASSWORD_CHANGED, ADDRESS, user_id=1)
    letters.post(LetterKind.RESET_UNKNOWN, "other@example.org")
    assert letters.send_due() == ENOUGH + 2, "what nobody asked for is told in any case"
    world.clock.moment += timedelta(hours=1)
    letters.post(LetterKind.RESET_UNKNOWN, ADDRESS)
    assert letters.send_due() == 1


def test_what_has_expired_is_neither_sent_nor_kept(letters: Letters, world: World) -> None:
    world.queue.down = True
    letters.post(LetterKind.RESET, ADDRESS, user_id=1)
    world.clock.moment += timedelta(hours=1)
    assert letters.send_due() == 0
    assert letters.remove_expired() == 1
    assert world.kept_letters.letters == {}
