"""Manual review of an eval: its page served to one person on this machine, and what the person says kept."""
