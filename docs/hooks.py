"""What the site does beyond Markdown: pages may link to any file of the repository.

On a forge such a link opens the file. In the site the file is copied below `repository/`: a page of Markdown becomes a
page, anything else is copied as it is. A link that leads nowhere stays as it is, and the strict build fails on it.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

COPIED = "repository"
"""The folder of the site that holds copies of files from outside `docs/`."""

_PLACE = r"(?P<path>(?![a-z]+:|/)[^)#\"\s]+)(?P<heading>#[^)\"\s]*)?"
_LINK = re.compile(rf"(?P<before>\]\(|\b(?:src|srcset|href)=\"){_PLACE}(?=[)\"])")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add every file outside `docs/` that a page links to, and what those pages link to themselves."""
    docs = Path(config.docs_dir)
    waiting = [docs / file.src_uri for file in files.documentation_pages()]
    known = set(waiting)
    while waiting:
        for target in _outside(waiting.pop(), docs):
            if target not in known:
                known.add(target)
                files.append(_copy(target, docs.parent, config))
                waiting += [target] if target.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - a hook
    """Lead links that leave `docs/`, and those of copied pages, to where the site has their targets."""
    here = PurePosixPath(page.file.src_uri)
    source = _source_of(here)

    def moved(link: re.Match[str]) -> str:
        target = _site_path(PurePosixPath(normpath(str(source.parent / link["path"]))))
        return f"{link['before']}{relpath(str(target), str(here.parent))}{link['heading'] or ''}"

    return _LINK.sub(moved, markdown)


def _outside(page: Path, docs: Path) -> Iterator[Path]:
    for link in _LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["path"]).resolve()
        if target.is_file() and docs.parent in target.parents and docs not in target.parents:
            yield target


def _copy(target: Path, root: Path, config: MkDocsConfig) -> File:
    """A page that stands in no menu, or a file as it is."""
    path = f"{COPIED}/{target.relative_to(root).as_posix()}"
    return File.generated(config, path, abs_src_path=str(target), inclusion=InclusionLevel.NOT_IN_NAV)


def _source_of(page: PurePosixPath) -> PurePosixPath:
    """Where a page of the site lies in the repository."""
    return page.relative_to(COPIED) if page.parts[0] == COPIED else "docs" / page


def _site_path(source: PurePosixPath) -> PurePosixPath:
    """Where the site has a file of the repository."""
    return PurePosixPath(*source.parts[1:]) if source.parts[0] == "docs" else COPIED / source
