from datetime import timedelta

import svcs

from app.clock import Clock
from app.database.session import Session
from app.geolocation.answers import GeocoderAnswers
from app.jobs.runner import JobRunner


def test_expired_answers_are_forgotten(registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        now = components.get(Clock).now()
        components.get(GeocoderAnswers).put("old", "[]", now - timedelta(seconds=1))
        components.get(GeocoderAnswers).put("new", "[]", now + timedelta(hours=1))
        components.get(Session).commit()
        runner = components.get(JobRunner)
        assert runner.run("geolocation.remove-expired-answers", {}) == "1 expired answer removed"
        assert runner.run("geolocation.remove-expired-answers", {}) == "0 expired answers removed"
        assert components.get(GeocoderAnswers).get("new", now) == "[]"
