"""What rendering may cost, counted and not timed, so that a prompt renders everywhere or nowhere."""

from collections.abc import Iterator
from typing import Any

from jinja2.runtime import Undefined
from jinja2.utils import Namespace

STEP = 250
"""Work of one turn of a loop, one call, one filter or one operation, in characters that could be copied meanwhile."""
WHOLE_WORK = 25_000_000
"""Work that rendering one prompt may take: 100,000 steps, some tenths of a second."""
QUICK_WORK = 500_000
"""Work that takes few milliseconds: 2,000 steps."""
LARGEST = 8 << 20
"""Characters of a rendered prompt, or characters or items of any value on the way, at most."""
WIDEST = 10_000
"""The largest width, precision or number of repetitions that a filter, a method or a format may be asked for."""
_NUMBER = 24
_PIECE = 50  # work of writing one more piece of text
_LOOK = 200  # work of looking at one more item of a value


class TooHeavyError(Exception):
    """Rendering would take more work or space than a prompt may; the message says which."""


class Budget:
    """What is left of the work and the characters for one rendering."""

    def __init__(self, work: int = WHOLE_WORK) -> None:
        self.whole = work
        self._work = work
        self._characters = LARGEST

    def spend(self, work: int) -> None:
        """Pay for work. Raises TooHeavyError where it is more than is left."""
        self._work -= work
        if self._work < 0:
            steps = f"{self.whole // STEP:,}"
            raise TooHeavyError(f"it takes more than {steps} steps; loop over less, or build less in the template")

    def step(self, count: int = 1) -> None:
        """Pay for steps."""
        self.spend(STEP * count)

    def make(self, size: int) -> None:
        """Pay for a value of so many characters or items before it is made. Raises TooHeavyError."""
        if size > LARGEST:
            raise TooHeavyError(f"it makes a value of more than {LARGEST:,} characters or items; make less of it")
        self.spend(STEP + size)

    def write(self, size: int) -> None:
        """Pay for so many characters of text; copying is cheap. Raises TooHeavyError."""
        self._characters -= size
        self._work -= _PIECE + (size >> 4)
        if self._characters < 0:
            raise TooHeavyError(f"it writes more than {LARGEST:,} characters; write less")
        if self._work < 0:
            self.spend(0)

    def turns(self, values: Any) -> "Turns":
        """The values of a loop, each turn paid for."""
        return Turns(values, self)

    def size(self, value: Any) -> int:
        """Characters, or items with all that is in them, of a value; looking is paid for. Raises TooHeavyError."""
        if isinstance(value, str | bytes):
            return len(value)
        if isinstance(value, int):
            return value.bit_length() // 3 + 1
        if isinstance(value, dict | list | tuple | set | frozenset | range | Namespace) or _is_view(value):
            return self._size_within(value)
        return _NUMBER

    def _size_within(self, value: Any) -> int:
        """The size of a value that holds others, each counted wherever it is held."""
        waiting, total = [value], 0
        while waiting:
            one = waiting.pop()
            inside = _inside(one)
            if inside is None:
                total += len(one) + 2 if isinstance(one, str | bytes) else _NUMBER
            else:
                if total + len(inside) > LARGEST:
                    self.make(LARGEST + 1)
                self.spend(len(inside) * _LOOK)
                total += 2 * len(inside) + 2
                waiting += inside
            if total > LARGEST:
                self.make(total)
        return total


class Turns:
    """Values that are paid for as a loop takes them. Its length is theirs, where they have one."""

    __slots__ = ("_budget", "_values")

    def __init__(self, values: Any, budget: Budget) -> None:
        self._values = values
        self._budget = budget

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            self._budget.step()
            yield value

    def __len__(self) -> int:
        return len(self._values)


def _is_view(value: Any) -> bool:
    return type(value).__name__ in {"dict_items", "dict_keys", "dict_values"}


def _inside(value: Any) -> list[Any] | None:
    """What a value holds; None for one that holds nothing."""
    if isinstance(value, str | bytes | Undefined):
        return None
    if isinstance(value, Namespace):
        return _inside(object.__getattribute__(value, "_Namespace__attrs"))
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset | range) or _is_view(value):
        return list(value)
    return None
