"""JSON that others write: what the standard allows and a strict reader or writer refuses is read and written too."""

import json
import re
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_json(content: bytes) -> Any:
    """A document, with U+FFFD for each half of a character whose other half isn't there (RFC 8259, section 8.2).

    Providers that cut a text into pieces cut emoji in two. A byte order mark is left out, as section 8.1 allows. Raises
    orjson.JSONDecodeError.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        whole = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], content.removeprefix(_BOM))
        if whole == content:
            raise
    return orjson.loads(whole)


def written(value: Any) -> bytes:
    """A document that holds what `orjson` doesn't write: halves of characters, integers of more than 64 bits.

    Raises nothing for what was read from JSON.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str).encode()
