"""How much of a request log PostgreSQL takes, and what a look of the gates costs as it grows."""
