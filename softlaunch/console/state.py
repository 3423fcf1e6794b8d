"""What the console consists of, wired together, for its pages to use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from softlaunch.console.access import Access
from softlaunch.console.background import Background
from softlaunch.console.eval_results import ReviewedRuns
from softlaunch.console.guarding import Tokens
from softlaunch.console.live import LiveParts
from softlaunch.console.recent import RecentTraffic
from softlaunch.core.clock import utc_now
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.store.database import Database

Start = Callable[[ReleaseRequest], str]
"""Opens a release and has it driven; returns its id. Raises SoftlaunchError, with what to change."""


@dataclass(slots=True)
class Console:
    """A console on a ledger. `start` begins releases; `reports` is the folder of static pages."""

    database: Database
    access: Access
    start: Start
    reports: Path
    poll_seconds: float = 1.0
    clock: Callable[[], datetime] = utc_now
    tokens: Tokens = field(default_factory=Tokens)
    live: LiveParts = field(default_factory=LiveParts)
    background: Background = field(default_factory=Background)
    reviewed: ReviewedRuns = field(default_factory=ReviewedRuns)
    recent: RecentTraffic = field(default_factory=RecentTraffic)
