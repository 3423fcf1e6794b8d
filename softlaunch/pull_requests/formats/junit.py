"""A check's result as JUnit's XML, which CI services show as tests: an app is a suite, a judgement a test."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from softlaunch.core.visible import visible
from softlaunch.pull_requests.formats.sentences import change_lines, figures, gate_lines, notes_of, pair_line
from softlaunch.pull_requests.results import AppResult, CheckResult, Conclusion, Judged, PairResult

_NO_CHARACTER = re.compile("[\ufffe\uffff]")
_SKIPPED = (Conclusion.UNCHANGED, Conclusion.NOT_JUDGED)


def to_junit(result: CheckResult) -> str:
    """One document. Whatever isn't a pass, and wasn't left out on purpose, is a failure: CI services show these."""
    suites = [_suite(app) for app in result.apps]
    root = ET.Element("testsuites", name="softlaunch check")
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(app: AppResult) -> ET.Element:
    tests = [_test(app.name, pair, judged) for pair in app.pairs for judged in pair.judged]
    if not tests:
        tests = [_case(app.name, "no variant", app.conclusion, app.problem or "no variant is touched")]
    suite = ET.Element("testsuite", name=_clean(app.name), tests=str(len(tests)), errors="0")
    suite.set("failures", str(sum(test.find("failure") is not None for test in tests)))
    suite.set("skipped", str(sum(test.find("skipped") is not None for test in tests)))
    suite.extend(tests)
    if app.change is not None:
        _add_text(suite, "system-out", list(change_lines(app.change)))
    return suite


def _test(app: str, pair: PairResult, judged: Judged) -> ET.Element:
    name = f"{pair.pair.name}, by {judged.on}" if judged.on else pair.pair.name
    test = _case(app, name, judged.conclusion, judged.reason)
    lines = [pair_line(pair.pair), *notes_of(judged)]
    if judged.compared is not None:
        report = judged.compared.report
        lines += [*(f"{figures(one)}: {one.outcome.value}" for one in report.metrics), *gate_lines(report)]
    _add_text(test, "system-out", lines)
    return test


def _case(app: str, name: str, conclusion: Conclusion, reason: str) -> ET.Element:
    test = ET.Element("testcase", name=_clean(name), classname=_clean(app))
    if conclusion is not Conclusion.PASS:
        kind = "skipped" if conclusion in _SKIPPED else "failure"
        ET.SubElement(test, kind, type=conclusion.value, message=_clean(f"{conclusion.value}: {reason}"))
    return test


def _add_text(element: ET.Element, tag: str, lines: Sequence[str]) -> None:
    if lines:
        ET.SubElement(element, tag).text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    """Without what XML can't carry, and with what acts made visible."""
    return _NO_CHARACTER.sub("\ufffd", visible(text))
