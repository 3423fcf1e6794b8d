"""A view of any database as a source of requests."""
