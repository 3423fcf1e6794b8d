"""How work is started: the command line and the Prefect deployments."""
