"""What gunicorn serves."""

import os

from app import settings
from app.application import create_app

application = create_app(settings.read(os.environ))
