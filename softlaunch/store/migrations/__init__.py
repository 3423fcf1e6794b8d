"""The ledger's schema, one revision after the other; `softlaunch.store.migrate` applies them."""
