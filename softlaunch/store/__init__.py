"""The ledger: tables, migrations, sessions and queries."""
