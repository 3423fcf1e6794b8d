"""How long the console's pages take on a large ledger."""
