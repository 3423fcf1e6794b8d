"""Documents that people write or hand over: the one place where their files are opened, bounded and parsed.

Whatever is wrong ends in a DocumentError that names file, line and key, what was found and what was expected.
"""

from softlaunch.core.documents.files import (
    LONGEST_DOCUMENT,
    LONGEST_GOLDEN_SET,
    LONGEST_RECORDING,
    LONGEST_YAML,
    check_regular,
    decode,
    is_packed,
    read_bytes,
    read_text,
)
from softlaunch.core.documents.json_text import parse_json
from softlaunch.core.documents.problems import Document, DocumentError, KeyedError, Keys, Problem, failure, written
from softlaunch.core.documents.tables import delimiter_of, table_rows
from softlaunch.core.documents.yaml_text import parse

__all__ = [
    "LONGEST_DOCUMENT",
    "LONGEST_GOLDEN_SET",
    "LONGEST_RECORDING",
    "LONGEST_YAML",
    "Document",
    "DocumentError",
    "KeyedError",
    "Keys",
    "Problem",
    "check_regular",
    "decode",
    "delimiter_of",
    "failure",
    "is_packed",
    "parse",
    "parse_json",
    "read_bytes",
    "read_text",
    "table_rows",
    "written",
]
