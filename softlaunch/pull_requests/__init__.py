"""The check of a pull request: which variants a change of a repository touches, and whether they got worse."""
