"""Releases, stages, routes, approvals, incidents and requests in the ledger: rows read and written, nothing decided."""
