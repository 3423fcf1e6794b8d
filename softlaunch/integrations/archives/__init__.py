"""Archives: where what a cleanup deletes is kept."""
