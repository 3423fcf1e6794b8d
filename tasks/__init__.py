"""One module per collaborator of the flows."""
