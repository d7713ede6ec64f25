"""What `fab` offers: the tasks of deploy/tasks, for each environment file. `fab --list` shows them."""

from deploy.tasks import collection, suggest_for_unknown

namespace = collection()
suggest_for_unknown(namespace)
