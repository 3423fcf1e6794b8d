"""Which archive an address means."""

from pathlib import Path

from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.integrations.archives.interface import Archive


def open_archive(address: str) -> Archive:
    """The archive at an address: a folder's path, or s3://bucket/prefix. Raises ArchiveError for one that is none."""
    if address.startswith("s3://"):
        from softlaunch.integrations.archives.s3 import S3Archive

        return S3Archive(address)
    return FolderArchive(Path(address))
