"""`python -m deployments.cli` is the softlaunch command."""

from deployments.cli.main import main

main()
