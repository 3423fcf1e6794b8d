"""What the console's pages read from the ledger: each read is bounded, whatever the ledger holds."""
