"""What reaches an installation from outside of it."""
