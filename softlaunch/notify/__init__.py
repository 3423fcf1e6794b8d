"""What people are told: what is worth a message, where it links to, and how it gets out."""
