"""`python -m softlaunch.cli` is the softlaunch command."""

from softlaunch.cli.main import main

main()
