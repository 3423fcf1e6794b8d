"""Redacting texts in a process of its own, within limits: a text that can't be redacted is not written."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from time import monotonic

from softlaunch.core.bounded import BeyondLimitsError, Helper
from softlaunch.core.redaction import Loaded, Rules, UnknownRedactorError, prepared, redact, redact_all

_LOGGER = logging.getLogger(__name__)
_BATCH_SECONDS = 2.0
"""What the texts of one batch may take together: the log's rows wait for them, and gates for the rows."""
_CPU_SECONDS, _WALL_SECONDS, _MEMORY_BYTES = 0.5, 1.5, 1 << 30


class Withheld(StrEnum):
    """Why a text was not written."""

    FULL = "full"
    NOT_READY = "not_ready"
    TOO_SLOW = "too_slow"
    FAILED = "failed"


_REMEMBERED_SECONDS = 300.0
_WORDS = {
    Withheld.FULL: "too many were waiting",
    Withheld.NOT_READY: "their redactor was still being loaded",
    Withheld.TOO_SLOW: "redacting them took too long; see what is expensive in texts.redact",
}


class Redaction:
    """Redacts texts. Used by the log's thread alone, except for the counts.

    Patterns hold the interpreter while they search, and those of other people may search for ever: all of it happens in
    helper processes, one for each app's function and one where there is none. A function is imported there by a thread,
    because a model that it brings may take long to load; what comes before it is there is withheld.
    """

    def __init__(self) -> None:
        self._helpers: dict[str, Helper] = {}
        self._ready: set[str] = set()
        self._loading: dict[str, threading.Thread] = {}
        self._broken: dict[str, str] = {}
        self._said: set[str] = set()
        self._until = 0.0
        self._latest, self._withheld_at = "", float("-inf")
        self.withheld: Counter[tuple[str, Withheld]] = Counter()

    @property
    def problem(self) -> str:
        """Why texts were lately not written; empty where all were."""
        return self._latest if monotonic() - self._withheld_at < _REMEMBERED_SECONDS else ""

    def begin_batch(self) -> None:
        """A batch begins: its texts may take so long together. The start of a helper process doesn't count."""
        self._until = monotonic() + _BATCH_SECONDS

    def apply_all(self, app: str, rules: Rules, many: Sequence[tuple[str, ...]]) -> list[tuple[str, ...] | None]:
        """The texts of some requests without what the rules cut out; None for those that must not be written.

        They go to the helper together; where that fails each is tried by itself, so that one costs no other.
        """
        if rules.function and not self._is_ready(rules.function):
            broken = self._broken.get(rules.function, "")
            for _ in many:
                self.withhold(app, Withheld.FAILED if broken else Withheld.NOT_READY, broken)
            return [None] * len(many)
        if rules.function not in self._helpers:
            self._start(rules.function)
        if len(many) > 1 and monotonic() < self._until:
            try:
                return list(self._helper(rules.function).call(redact_all, rules, many))
            except Exception as error:  # of which one, the next attempts say
                _LOGGER.debug("texts can't be redacted together: %s", type(error).__name__)
        return [self._apply(app, rules, texts) for texts in many]

    def _apply(self, app: str, rules: Rules, texts: tuple[str, ...]) -> tuple[str, ...] | None:
        if monotonic() >= self._until:
            self.withhold(app, Withheld.TOO_SLOW)
            return None
        try:
            return self._helper(rules.function).call(redact, rules, texts)
        except BeyondLimitsError:
            self._ready.discard(rules.function)  # the next process has imported nothing yet
            self.withhold(app, Withheld.TOO_SLOW)
        except Exception as error:  # whatever an app's function raises; its message may quote the text
            self.withhold(app, Withheld.FAILED, f"{rules.function or 'a pattern'} failed: {type(error).__name__}")
        return None

    def _start(self, function: str) -> None:
        began = monotonic()
        with suppress(BeyondLimitsError):
            self._helper(function).call(redact, Rules(), ())
        self._until += monotonic() - began

    def withhold(self, app: str, why: Withheld, words: str = "") -> None:
        """Count a request whose texts aren't written, and say so once for each reason."""
        self.withheld[app, why] += 1
        self._withheld_at = monotonic()
        self._latest = f"texts of {app} are not written: {words or _WORDS[why]}"
        if self._latest not in self._said:
            self._said.add(self._latest)
            _LOGGER.warning("%s", self._latest)

    def close(self) -> None:
        """End the helper processes."""
        for helper in list(self._helpers.values()):
            helper.close()

    def _helper(self, function: str) -> Helper:
        if function not in self._helpers:
            self._helpers[function] = Helper(_CPU_SECONDS, _WALL_SECONDS, _MEMORY_BYTES)
        return self._helpers[function]

    def _is_ready(self, name: str) -> bool:
        if name not in self._ready and name not in self._broken and name not in self._loading:
            loading = threading.Thread(
                target=self._load, args=(name, self._helper(name)), name=f"loads redactor {name}", daemon=True
            )
            self._loading[name] = loading
            loading.start()
        return name in self._ready

    def _load(self, name: str, helper: Helper) -> None:
        try:
            helper.call(prepared, Loaded(name))
        except UnknownRedactorError as error:
            self._broken[name] = str(error)
        except Exception as error:  # somebody's package; it is tried again with the next text
            _LOGGER.warning("redactor %s can't be loaded: %s", name, type(error).__name__)
        else:
            self._ready.add(name)
        finally:
            self._loading.pop(name, None)
