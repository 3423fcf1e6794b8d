"""One installation on one machine, its processes, and its flows on a Prefect server."""
