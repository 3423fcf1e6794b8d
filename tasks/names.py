"""Names that Prefect accepts."""


def artifact_key(*parts: str) -> str:
    """The key of an artifact: Prefect takes letters, digits and dashes, and apps may have dots and underscores."""
    return "-".join(parts).replace(".", "-").replace("_", "-")
