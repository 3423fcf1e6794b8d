"""Where people read on: the page of a release and the runbook of an incident, as Markdown."""

from dataclasses import dataclass
from pathlib import Path

from softlaunch.settings import Settings
from softlaunch.store.news import IncidentKind


@dataclass(frozen=True, slots=True)
class Links:
    """The reports folder, and the addresses under which it and the runbooks are served; None where they aren't."""

    reports_dir: Path
    reports_url: str | None = None
    runbooks_url: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Links":
        """What an installation is set to."""
        return cls(settings.reports_dir.resolve(), settings.reports_url, settings.runbooks_url)

    def report(self, release_id: str) -> str:
        """The page of a release: a link, or its path where nothing serves it."""
        page = f"{release_id}.html"
        if self.reports_url is None:
            return f"`{self.reports_dir / page}`"
        return f"[{page}]({self.reports_url.rstrip('/')}/{page})"

    def runbook(self, kind: IncidentKind) -> str:
        """The page of an incident kind: a link, or its path in the project where nothing serves it."""
        page = Path(kind.runbook).name
        if self.runbooks_url is None:
            return f"`{kind.runbook}`"
        return f"[{kind.words}]({self.runbooks_url.rstrip('/')}/{page})"
