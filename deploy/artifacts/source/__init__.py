"""What is built: the selected files of a commit or of the working tree as it is, and the version that names them."""

from deploy.artifacts.source.checkout import Source, SourceError, opened

__all__ = ["Source", "SourceError", "opened"]
