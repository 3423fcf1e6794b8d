"""Write the references of `docs/reference/` from the code: policy, metrics, commands, incidents and settings.

`python docs/generate.py` writes them. With `--check` it exits with 1 where one differs, and names it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from references import commands, incidents, metrics, policy, settings  # noqa: E402 - found by the line above

_PAGES: Mapping[str, Callable[[], Iterator[str]]] = {
    "policy.md": policy.lines,
    "metrics.md": metrics.lines,
    "commands.md": commands.lines,
    "incidents.md": incidents.lines,
    "settings.md": settings.lines,
}


def pages() -> dict[Path, str]:
    """Every generated page with the text that it must have."""
    return {FOLDER / "reference" / name: "\n".join(lines()).rstrip() + "\n" for name, lines in _PAGES.items()}


def stale() -> list[Path]:
    """The pages whose text differs from the code's."""
    return [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit code."""
    if arguments == ["--check"]:
        for path in stale():
            print(f"{path.relative_to(FOLDER.parent)} differs from the code; run: make docs", file=sys.stderr)
        return 1 if stale() else 0
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
