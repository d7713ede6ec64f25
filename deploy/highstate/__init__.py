"""Salt on servers that have none: the bundle, what is sent to a server, and what runs there."""
