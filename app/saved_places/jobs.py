"""Jobs of saved places."""

import logging
from datetime import timedelta

from app.jobs.models import Arguments, Components, Job
from app.saved_places.importing import JOB, Imports

logger = logging.getLogger(__name__)


def run_import(components: Components, arguments: Arguments) -> str:
    """Do an import, or go on with one whose worker was killed."""
    return components.get(Imports).run(int(arguments["import_id"]))


def resume_imports(components: Components, arguments: Arguments) -> str:
    """Ask for imports again that nobody works on."""
    resumed = components.get(Imports).resume()
    return f"{resumed} import{'s' * (resumed != 1)} asked for again"


def remove_old_imports(components: Components, arguments: Arguments) -> str:
    """Forget what became of imports long ago."""
    removed = components.get(Imports).remove_old()
    return f"{removed} old import{'s' * (removed != 1)} removed"


JOBS = (
    Job(name=JOB, summary="Read a file of places into a list", run=run_import),
    Job(
        name="saved-places.resume-imports",
        summary="Ask for imports again whose worker or queue is gone",
        run=resume_imports,
        every=timedelta(minutes=1),
    ),
    Job(
        name="saved-places.remove-old-imports",
        summary="Forget imports that ended a month ago",
        run=remove_old_imports,
        every=timedelta(days=1),
    ),
)
