"""The ground of every page: Jinja with autoescape, because labels, reasons and answers are other people's text."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from softlaunch.core import formatting
from softlaunch.core.visible import visible
from softlaunch.releases import wording


def _shown(value: object) -> object:
    """Whatever a page shows, with escapes in the place of characters that act; markup of ours stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def page_environment() -> Environment:
    """Templates of this package; every value is escaped, a missing one is an error, numbers are worded as elsewhere."""
    environment = Environment(
        loader=PackageLoader("softlaunch.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {**vars(formatting), **vars(wording)}
    shown = {name: word for name, word in words.items() if name.startswith(("show_", "has_"))}
    environment.globals.update(shown)
    environment.filters.update(shown)
    return environment
