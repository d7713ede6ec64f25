"""What `fab` offers: the tasks of deploy/tasks, for each environment file. `fab --list` shows them."""

from deploy.tasks import GROUPS, collection
from deploy.tasks.typed import understand

namespace = collection()
understand(namespace, GROUPS)
