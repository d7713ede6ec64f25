"""The wheels of a release: locked, fetched for the target, checked, and unpacked once."""
