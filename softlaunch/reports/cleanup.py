"""A cleanup's plan as Markdown."""

from softlaunch.retention.cleanup_run import Plan


def plan_markdown(plan: Plan, archive: str) -> str:
    """What would be deleted, why, how much it is, and what it costs a month before and after."""
    lines = ["| what | kept | to delete | MB | why |", "|---|---|---|---|---|"]
    for part in plan.parts:
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(part.totals.reasons.items())) or "-"
        size = f"{part.totals.deleted_bytes / 1e6:.1f}"
        lines.append(f"| {part.kind} | {part.totals.kept} | {part.totals.deleted} | {size} | {why} |")
    lines += ["", f"List prices: {plan.usd_now:.2f} USD a month in the ledger, {plan.usd_archived:.2f} in {archive}."]
    first = [f"- {part.kind} `{choice.item.key}`: {choice.reason}" for part in plan.parts for choice in part.first]
    return "\n".join([*lines, "", *first])
