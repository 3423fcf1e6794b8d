"""A ledger's URL: one database, or one with standbys, of which the one that can be written is used."""

import re

from sqlalchemy import URL, make_url

_SEVERAL = re.compile(
    r"(?P<scheme>[a-z+0-9]+)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?#].*|$)"
)
_WHICH = "target_session_attrs"


def parse_url(url: str) -> URL:
    """The parts of a URL, whose hosts may be several: `postgresql://user@db1:5432,db2:5432/ledger`, as in libpq.

    Of several hosts the one is used that can be written, unless the URL says otherwise by `target_session_attrs`.
    Raises ArgumentError, or ValueError for a port that is no number.
    """
    several = _SEVERAL.fullmatch(url)
    if several is None:
        parsed = make_url(url)
    else:
        login = f"{several['login']}@" if several["login"] is not None else ""
        parsed = make_url(f"{several['scheme']}://{login}{several['rest']}")
        parsed = parsed.update_query_dict({"host": several["hosts"].split(",")})
    if _has_several_hosts(parsed) and _WHICH not in parsed.query:
        parsed = parsed.update_query_dict({_WHICH: "read-write"})
    return parsed


def _has_several_hosts(url: URL) -> bool:
    named = url.query.get("host", ())
    return "," in named if isinstance(named, str) else len(named) > 1
