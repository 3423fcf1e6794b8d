"""Programs and services of others: an interface for each kind, and a module for each implementation."""
