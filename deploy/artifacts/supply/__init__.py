"""The supply chain: everything of a version together, what is in it, where it comes from, and proof of both."""
