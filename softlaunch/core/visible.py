"""Texts of other people as a reader sees them: nothing in them moves a cursor, turns a line round, or fakes one."""

_FIRST_PRINTABLE, _DELETE, _LAST_C1 = 0x20, 0x7F, 0x9F
_KEPT = {"\n", "\t"}
_CONTROLS = {chr(code) for code in (*range(_FIRST_PRINTABLE), *range(_DELETE, _LAST_C1 + 1))} - _KEPT
_DIRECTIONS = {chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_LINES = {"\u2028", "\u2029"}
_HALVES = {chr(code) for code in range(0xD800, 0xE000)}  # of pairs, which no file or terminal takes


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


HIDDEN = {ord(one): _escaped(one) for one in (*_CONTROLS, *_DIRECTIONS, *_LINES, *_HALVES)}
"""Characters that act instead of being seen, with how they are written: control characters but for newline and tab,
marks that turn the direction of a line, separators of lines, and halves of pairs."""
_ON_ONE_LINE = {**HIDDEN, ord("\n"): "\\n", ord("\t"): "\\t"}


def visible(text: str) -> str:
    """The text with escapes, such as `\\x1b`, in the place of characters that act. Lines stay lines."""
    return text.replace("\r\n", "\n").translate(HIDDEN)


def one_line(text: str) -> str:
    """The same for what belongs on one line, such as a name or a reason: `\\n` in the place of each newline."""
    return text.translate(_ON_ONE_LINE)
