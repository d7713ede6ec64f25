"""One page that says which release answers, and where."""

EDITION = "0"
