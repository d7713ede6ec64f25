"""Forms: WTForms in the language that is spoken. Tokens against forgery are the site's matter, for every POST."""

import logging
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DecimalField
from wtforms.i18n import get_translations
from wtforms.validators import StopValidation
from wtforms.widgets import TextInput

from app.languages import current_language, gettext
from app.web.routes import one_line

logger = logging.getLogger(__name__)


class Form(FlaskForm):  # type: ignore[misc]
    """Base of all forms."""

    class Meta:
        """How WTForms goes about it."""

        csrf = False  # site.py checks each POST before there is a form, so that none can be forgotten

        def get_translations(self, form: Any) -> Any:
            """Return WTForms' own messages."""
            return get_translations([current_language()])


class OneLine:
    """A validator: text without line ends and other control characters."""

    def __call__(self, form: Any, field: Any) -> None:
        """Raise StopValidation for text that has any."""
        try:
            one_line(field.data or "")
        except ValueError:
            raise StopValidation(gettext("Use one line of ordinary characters.")) from None


class DegreesField(DecimalField):  # type: ignore[misc]
    """An angle, with a point or a comma, as people write it; browsers' own fields for numbers take only one of them."""

    widget = TextInput()

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        super().process_formdata([value.strip().replace(",", ".").replace("\u2212", "-") for value in valuelist])
