"""The softlaunch command."""
