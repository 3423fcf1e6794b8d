"""What is told of each answer without keeping its text: one bit for each check, in the column `requests.checks`.

A bit that is set says that the check found something. Bits are never given another meaning: logs keep them.
"""

from collections.abc import Mapping

from softlaunch.core.live_metrics import Metric

TRUNCATED = 1
REFUSED = 2
MALFORMED_OUTPUT = 4
OTHER_LANGUAGE = 8
REPETITIVE = 16
FORM_UNKNOWN = 32
"""Whether the output fits its schema couldn't be told; nothing else is meant by it, and it is no metric."""

BITS: Mapping[Metric, int] = {
    Metric.TRUNCATED: TRUNCATED,
    Metric.REFUSED: REFUSED,
    Metric.MALFORMED_OUTPUT: MALFORMED_OUTPUT,
    Metric.OTHER_LANGUAGE: OTHER_LANGUAGE,
    Metric.REPETITIVE: REPETITIVE,
}
"""The bit of each live metric that is told by a check."""
NAMED_BITS: Mapping[str, int] = {**{metric.value: bit for metric, bit in BITS.items()}, "form_unknown": FORM_UNKNOWN}
"""Every bit by its name."""
