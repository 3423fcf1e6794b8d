"""The request log of an app whose requests are told by its own spans."""
