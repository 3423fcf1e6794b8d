"""The table of a run: medians over its rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.gateway.load import Load


@dataclass(frozen=True, slots=True)
class Round:
    """One peer in one round: at full load, one request at a time, and the CPU time of a request at full load."""

    busy: Load
    alone: Load
    cpu_us: float | None


def table(rounds: Mapping[str, Sequence[Round]], notes: Mapping[str, str], missing: Mapping[str, str]) -> str:
    """Markdown: what was measured, then what wasn't and why."""
    lines = [
        "| gateway | req/s at 32 | added p50 ms | added p99 ms | CPU us/request | errors | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    direct = rounds["direct"]
    for name, seen in rounds.items():
        added = [(own.alone, base.alone) for own, base in zip(seen, direct, strict=True)]
        p50 = median(own.p50_ms - base.p50_ms for own, base in added)
        p99 = median(own.p99_ms - base.p99_ms for own, base in added)
        rate = median(one.busy.per_second for one in seen)
        errors = sum(one.busy.errors + one.alone.errors for one in seen)
        costs = [one.cpu_us for one in seen if one.cpu_us is not None]
        cpu = f"{median(costs):,.0f}" if costs else "-"
        shown = ("-", "-") if name == "direct" else (f"{p50:.2f}", f"{p99:.2f}")
        lines.append(f"| {name} | {rate:,.0f} | {shown[0]} | {shown[1]} | {cpu} | {errors} | {notes[name]} |")
    lines += [f"| {name} | not available | | | | | {why} |" for name, why in missing.items()]
    first = direct[0].alone
    lines.append("")
    lines.append(f"Direct, one at a time: p50 {first.p50_ms:.3f} ms, p99 {first.p99_ms:.3f} ms.")
    return "\n".join(lines)
