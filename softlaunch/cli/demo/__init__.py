"""A real release on one machine: provider, gateway, users and Prefect, started for the occasion."""
