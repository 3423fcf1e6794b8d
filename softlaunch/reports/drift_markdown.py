"""A drift check as the text of a Prefect artifact."""

from collections.abc import Mapping
from typing import Any

from softlaunch.drift.judgement import Cause, Step
from softlaunch.drift.notices import in_words
from softlaunch.reports.drift_words import show_metric_change, show_metric_name, show_metric_value, show_title


def drift_markdown(app: str, document: Mapping[str, Any]) -> str:
    """What has drifted, what it points to, what to do next, and every metric."""
    cause, step = in_words(Cause(document["cause"]), Step(document["step"]))
    lines = [f"# {app}: {show_title(document).lower()}", f"**{document['summary']}**"]
    if cause:
        lines += ["", cause]
    if step:
        lines += ["", f"Next: {step}: `softlaunch drift act {app}`, or the deployment `drift-next-step`."]
    lines += ["", "| metric | then | now | change |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {show_metric_name(one)} | {show_metric_value(one, one['then'])} | {show_metric_value(one, one['now'])} | "
        f"{show_metric_change(one)} |"
        for one in document["metrics"]
    ]
    lines += ["", *(f"- {one['weight']}: {one['sentence']}" for one in document["remarks"])]
    return "\n".join(lines)
