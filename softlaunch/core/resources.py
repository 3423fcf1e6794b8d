"""Files that come with softlaunch and are not modules: the example app, the runbooks, and what is deployed."""

from pathlib import Path

import softlaunch


def find_resource(name: str) -> Path | None:
    """The file or folder of a name: inside an installed package, or in the checkout beside it; None if there is none.

    name: a path relative to the top of the repository, such as `runbooks/gate_latency.md`.
    """
    package = Path(softlaunch.__file__).parent
    found = (folder / name for folder in (package, package.parent) if (folder / name).exists())
    return next(found, None)
