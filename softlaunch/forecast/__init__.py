"""What a release will take, foreseen: how long it lasts, what its gates catch, and how many users see it."""
