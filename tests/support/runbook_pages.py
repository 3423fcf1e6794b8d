"""The commands of a runbook page, and what each of them should print."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^ *```console\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command to paste, and the output that the page shows: `...` stands for anything."""

    command: str
    expected: str

    def missed(self, printed: str) -> str:
        """The first shown line that the output lacks, in order; empty when there is none."""
        rest = _plain(printed)
        for line in self.expected.splitlines():
            if line.strip() == "...":
                continue
            wanted = ".*".join(re.escape(part.strip()) for part in re.split(r"\.\.\.|…", _plain(line)))
            found = re.search(wanted, rest)
            if found is None:
                return line
            rest = rest[found.end() :]
        return ""


def _plain(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def steps_of(page: Path) -> list[Step]:
    """Every command of a page in the order in which somebody would paste them."""
    steps = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"^ *\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            steps.append(Step(command.strip(), expected.strip("\n")))
    return steps
