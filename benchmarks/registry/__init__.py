"""How long a registry cleanup takes to plan, and how much memory."""
