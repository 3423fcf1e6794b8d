"""How long things are kept: cleanups, archives, restoring, and tags that protect."""
