"""Answers that repeat: loops within one output, and one output for many different questions."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

_PROBE = 24
_LEAST_LOOP = 200
_ROUNDS = 4
"""A loop goes round so often, over so many characters."""
_LONG_LINE = 30
_LEAST_LINES = 8

_REMEMBERED = 256
_LEAST_SIZE = 40
_QUESTIONS = 4
_MOST_VARIANTS = 256
_OF_QUESTION = 1024  # a longer one isn't read from end to end


def loops(beginning: str, ending: str) -> bool:
    """Whether a text goes round in circles: at its end, or in most of the longer lines of its beginning."""
    return _ends_in_a_loop(ending) or _repeats_lines(beginning)


def _ends_in_a_loop(ending: str) -> bool:
    """Whether the last characters have a period: what models that are stuck go on with until they are cut."""
    if len(ending) < _LEAST_LOOP:
        return False
    before = ending.rfind(ending[-_PROBE:], 0, -1)
    if before < 0:
        return False
    period = len(ending) - _PROBE - before
    length = max(_LEAST_LOOP, _ROUNDS * period) - period
    return len(ending) >= length + period and ending[-length:] == ending[-length - period : -period]


def _repeats_lines(beginning: str) -> bool:
    lines = [line for line in beginning.split("\n") if len(line) >= _LONG_LINE]
    return len(lines) >= _LEAST_LINES and 2 * len(set(lines)) <= len(lines)


@dataclass(slots=True)
class _Recent:
    """The last outputs of one variant, by their hashes, with the questions that they answered."""

    order: deque[tuple[int, int]] = field(default_factory=deque)
    questions: dict[int, Counter[int]] = field(default_factory=dict)

    def take(self, output: int, question: int) -> bool:
        """Whether the same output answered enough other questions lately; remembers this one."""
        asked = self.questions.get(output)
        if asked is None:
            asked = self.questions[output] = Counter()
        others = len(asked) - (question in asked)
        asked[question] += 1
        self.order.append((output, question))
        if len(self.order) > _REMEMBERED:
            self._forget(*self.order.popleft())
        return others >= _QUESTIONS - 1

    def _forget(self, output: int, question: int) -> None:
        asked = self.questions[output]
        asked[question] -= 1
        if not asked[question]:
            del asked[question]
        if not asked:
            del self.questions[output]


class SameOutputs:
    """One output for many different questions: among a variant's last 256 answers, the fourth question and later ones.

    Each gateway process remembers its own, as hashes. Both arms are held to the same number of answers, so that a
    variant with more traffic isn't found out earlier. Outputs of less than 40 characters, such as labels, may be alike.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[tuple[str, str], _Recent] = OrderedDict()

    def take(self, app: str, variant_digest: str, output: tuple[str, str, int], question: str) -> bool:
        """Whether an output (its beginning, its end and its size) has answered several other questions lately."""
        if output[2] < _LEAST_SIZE or not question:
            return False
        key = (app, variant_digest)
        recent = self._recent.get(key)
        if recent is None:
            recent = self._recent[key] = _Recent()
            if len(self._recent) > _MOST_VARIANTS:
                self._recent.popitem(last=False)
        return recent.take(hash(output), hash((question[:_OF_QUESTION], len(question), question[-_OF_QUESTION:])))
