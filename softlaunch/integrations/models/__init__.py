"""Model registries: where versions of what serves are listed, tagged and pointed at by aliases."""
