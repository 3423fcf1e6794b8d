"""Where the gates read what happened."""
