"""Reads a page as a person sees it, and what it asks from elsewhere."""

from html.parser import HTMLParser

ATTACK = '<script>alert("x")</script>'
_EMPTY = frozenset({"meta", "link", "br", "img", "input", "hr"})


class PageReader(HTMLParser):
    """Collects tags, addresses and text, and notices elements that aren't closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take its addresses; it is open from here on."""
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count it; it has no end of its own."""
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, text: str) -> None:
        """Keep the words that a person sees."""
        if self._open[-1:] != ["style"]:
            self.words.append(text)

    @property
    def text(self) -> str:
        """All words, with one space between them."""
        return " ".join(" ".join(self.words).split())
