"""Messages to people: what is worth one, where it links to, and how it gets out."""
