"""What `fab` offers: the tasks of deploy/tasks, for each environment file. `fab --list` shows them."""

import gc

from deploy.tasks import GROUPS, collection
from deploy.tasks.typed import understand

gc.set_threshold(100_000)  # what is loaded is no garbage: to look for some is a twentieth of the start
namespace = collection()
understand(namespace, GROUPS)
