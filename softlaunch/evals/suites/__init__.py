"""Golden sets: their cases, where they come from, and how an answer to a case is scored."""
