"""What all HTML pages share: layout, forms, language, who visits, static files, errors. Flask's own; the API has none.

Each feature's pages are in its ``views.py``, their templates in ``app/templates``; ``site.py`` puts them together.
"""

import logging

logger = logging.getLogger(__name__)
