import time

from app.auth.passwords import Argon2Hasher

PASSWORD = "correct horse battery"


def test_only_the_right_password_matches() -> None:
    hasher = Argon2Hasher()
    hashed = hasher.hash(PASSWORD)
    assert hashed.startswith("$argon2id$")
    assert hashed != hasher.hash(PASSWORD), "salted"
    assert hasher.matches(hashed, PASSWORD)
    assert not hasher.matches(hashed, PASSWORD + "x")
    assert not hasher.matches("not a hash", PASSWORD)


def test_nobody_has_a_password_and_it_takes_as_long_to_say_so() -> None:
    hasher = Argon2Hasher()
    hashed = hasher.hash("something else entirely")
    hasher.matches(None, PASSWORD)  # the hash of nobody is made now

    def cpu(candidate: str | None) -> float:
        started = time.process_time()
        assert not hasher.matches(candidate, PASSWORD)
        return time.process_time() - started

    nobody, somebody = min(cpu(None) for _ in range(3)), min(cpu(hashed) for _ in range(3))
    assert 0.5 < nobody / somebody < 2


def test_the_password_of_nobody_does_not_match_either() -> None:
    assert not Argon2Hasher().matches(None, "nobody has this password")
