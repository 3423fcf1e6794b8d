"""Where people find what a message speaks of: the runbook, the report, the run."""

from dataclasses import dataclass
from pathlib import Path

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Links:
    """Base addresses, without a slash at the end; empty where pages are only files on the machine."""

    runbooks_url: str = ""
    reports_url: str = ""
    reports_dir: Path = Path("reports")
    console_url: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Links":
        """The addresses of an installation."""
        runbooks, reports = settings.runbooks_url or "", settings.reports_url or ""
        console = settings.console_url.rstrip("/")
        return cls(runbooks.rstrip("/"), reports.rstrip("/"), settings.reports_dir.resolve(), console)

    def runbook(self, kind: IncidentKind) -> str:
        """The page of a kind: an address where there is one, else its path in the project."""
        return f"{self.runbooks_url}/{kind.value}.md" if self.runbooks_url else kind.runbook

    def report(self, release_id: str) -> str:
        """The page of a release."""
        name = f"{release_id}.html"
        return f"{self.reports_url}/{name}" if self.reports_url else str(self.reports_dir / name)

    def console(self, release_id: str) -> str:
        """The console's page of a release; empty where people have no address of the console."""
        return f"{self.console_url}/releases/{release_id}" if self.console_url else ""


def is_address(link: str) -> bool:
    """Whether a link can be followed from anywhere."""
    return link.startswith(("https://", "http://"))
