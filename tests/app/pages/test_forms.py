import flask
import pytest
from werkzeug.datastructures import MultiDict
from wtforms.validators import InputRequired

from app.languages import speaking
from app.pages.forms import DegreesField, Form


class Angle(Form):
    angle = DegreesField("Angle", [InputRequired()])


@pytest.mark.parametrize(("typed", "degrees"), [("38.7", 38.7), (" 38,7 ", 38.7), ("\u22129", -9), ("-9", -9)])
def test_degrees_as_people_write_them(typed: str, degrees: float) -> None:
    with flask.Flask("test").test_request_context():
        form = Angle(MultiDict({"angle": typed}))
        assert form.validate()
        assert float(form.angle.data or 0) == degrees
        assert f'value="{typed}"' in form.angle(), "what was typed stays"


def test_mistakes_are_said_in_the_language_that_is_spoken() -> None:
    with flask.Flask("test").test_request_context(), speaking("de"):
        form = Angle(MultiDict({"angle": ""}))
        assert not form.validate()
        assert form.angle.errors == ["Dieses Feld wird benötigt."]
