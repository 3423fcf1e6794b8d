"""Git repositories, read through the git program."""
