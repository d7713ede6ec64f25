"""What `fab` offers: the tasks of deploy/tasks, for each environment file. `fab --list` shows them."""

from deploy.tasks import collection, help_for_typing

namespace = collection()
help_for_typing(namespace)
