from pathlib import Path

from app.database.target import Target
from app.rehearsal.recording import Recorded
from app.rehearsal.replay import replay, told
from app.rehearsal.scratch import rehearse, scratch_of

COUNT = Recorded("SELECT count(*) FROM countries", ())
ADD = Recorded("INSERT INTO countries (code, name) VALUES (?, ?)", ["aa", "Aa"])


def test_nothing_stays_and_one_that_fails_keeps_nobody(tmp_path: Path) -> None:
    target = Target(f"sqlite:///{tmp_path}/a.sqlite3")
    rehearse(target)
    recorded = [Recorded("SELECT gone FROM countries", ()), ADD, ADD, COUNT]
    for _ in range(2):
        first, second = replay(scratch_of(target), recorded)
        assert (first.error, first.runs) == ("no such column: gone", (0,))
        assert ("UNIQUE" in second.error, second.runs) == (True, (2,)), "the first of them was undone"
    assert told([first], recorded) == {
        "replayed": 4,
        "failed": [{"sql": "SELECT gone FROM countries", "error": "no such column: gone", "runs": [0]}],
    }
