"""What can go wrong: each error has a stable code and says what to do next."""

from __future__ import annotations

import errno
from typing import Any


class AgentError(Exception):
    """Something that an operator can put right."""

    def __init__(self, code: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Give the error as the protocol has it: code, message, then expected, got, hint, detail where known."""
        return {"code": self.code, "message": self.message, **self.fields}


class BadRequest(AgentError):
    """The request can't be understood; nothing was touched."""


class Incomplete(AgentError):
    """The store lacks files of the release."""


class NotServing(AgentError):
    """A generation died, did not answer, or answered something other than 200."""


class Stopped(BaseException):
    """The agent was told to stop: undo what is half-done, then leave."""


def in_a_line(error: AgentError | OSError) -> str:
    """Say what went wrong, for a log."""
    if isinstance(error, AgentError):
        return "; ".join([error.message, *(f"{k}: {v}" for k, v in error.fields.items() if k != "detail")])
    return f"{error.filename or 'the system'}: {error.strerror}"


_BY_ERRNO = {
    errno.ENOSPC: ("disk-full", "no space left", "free some space on that file system (`prune` removes old releases)"),
    errno.EDQUOT: ("disk-full", "the disk quota is used up", "raise the quota or `prune` old releases"),
    errno.EACCES: ("permission-denied", "permission denied", "run the agent as the user who owns this directory"),
    errno.EPERM: ("permission-denied", "operation not permitted", "run the agent as the user who owns this directory"),
    errno.EROFS: ("read-only", "the file system is read-only", "mount it read-write"),
    errno.ENOENT: ("not-found", "no such file or directory", None),
    errno.EMFILE: ("too-many-files", "too many open files", "raise the limit of open files (ulimit -n)"),
    errno.EXDEV: ("cross-device", "store and releases lie on different file systems", "keep them on one file system"),
}


def from_os_error(error: OSError) -> AgentError:
    """Turn what the operating system said into an error with a code and the path."""
    code, what, hint = _BY_ERRNO.get(error.errno or 0, ("os-error", error.strerror or str(error), None))
    path = error.filename2 or error.filename
    where = f"{path}: " if path else ""
    return AgentError(code, f"{where}{what}", hint=hint)
