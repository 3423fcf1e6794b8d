"""Pages that commands write beside what they print."""

from pathlib import Path


def write_page(name: str, text: str) -> Path:
    """Write a page of this name among the installation's reports, readable by its user alone; returns where it is."""
    from softlaunch.core.private_files import private_folder
    from softlaunch.core.settings import Settings
    from softlaunch.reports.pages import write_whole

    folder = Settings().reports_dir
    private_folder(folder)
    return write_whole(folder / name, text)
