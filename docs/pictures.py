"""Make the README's pictures from a real demo: its end in a terminal, a release's page, and its thread in Slack.

`python docs/pictures.py` plays the demo first, which takes about two minutes. `--again` takes what the last one left.
It needs Chromium and a font with emoji (`apt-get install chromium fonts-noto-color-emoji`), and writes into
`docs/images/`.
"""

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text
from sqlmodel import col, select

from softlaunch.core.clock import utc_now
from softlaunch.ledger.incidents import read_incident
from softlaunch.ledger.outbox import to_notice
from softlaunch.notify.interface import Envelope
from softlaunch.notify.links import Links
from softlaunch.notify.slack.head import head_blocks
from softlaunch.notify.slack.messages import blocks_of
from softlaunch.releases.views import read_view
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import NoticeRow, ReleaseRow

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
HOME = ROOT / ".softlaunch" / "pictures"
COLUMNS = 112
SCHEMES = {"light": DEFAULT_TERMINAL_THEME, "dark": SVG_EXPORT_THEME}
_MOVES = re.compile(r"\x1b\[(?:\?25[lh]|\d*[A-GJK])|\r")
_ELSEWHERE = re.compile(r"@font-face\s*{.*?}", re.DOTALL)
_SLACK = """
body { margin: 0; padding: 18px; font: 15px/1.45 system-ui, sans-serif; color: #1d1c1d; background: #fff }
article { margin: 0 0 16px; padding: 2px 0 2px 54px; position: relative }
article::before { content: "S"; color: #fff; background: #009688; position: absolute; left: 0; top: 4px; width: 38px;
  height: 38px; border-radius: 8px; font-weight: 700; font-size: 21px; text-align: center; line-height: 38px }
.name { display: block }
.name i { font: 11px system-ui; opacity: .7; border: 1px solid; padding: 0 3px; border-radius: 3px; margin-left: 5px }
h3 { margin: 3px 0; font-size: 18px }
p { margin: 6px 0; white-space: pre-wrap }
small { display: block; opacity: .75; margin: 5px 0 }
code, pre { font: 12px/1.45 ui-monospace, monospace; background: #8882; border-radius: 4px; padding: 0 2px }
pre { padding: 8px; margin: 4px 0; overflow: hidden }
a { color: #1264a3 }
button { font: 600 14px system-ui; padding: 6px 12px; margin: 6px 6px 0 0; border: 1px solid #8887; border-radius: 6px;
  background: none; color: inherit }
.danger { color: #e01e5a; border-color: #e01e5a }
@media (prefers-color-scheme: dark) { body { background: #1a1d21; color: #d1d2d3 } a { color: #1d9bd1 } }
"""


def main(arguments: list[str]) -> None:
    """Play the demo, unless it is to be used again, and make every picture."""
    if "--again" not in arguments:
        _play(HOME)
    for scheme, theme in SCHEMES.items():
        (IMAGES / f"demo-{scheme}.svg").write_text(_terminal(HOME / "demo.ansi", theme), encoding="utf-8")
    release_id, thread = _rolled_back(HOME)
    (HOME / "slack.html").write_text(thread, encoding="utf-8")
    with _browser() as browser:
        for scheme in SCHEMES:
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1000, "height": 940})
            _shoot(page, HOME / "reports" / f"{release_id}.html", IMAGES / f"release-page-{scheme}.png")
            page.set_viewport_size({"width": 640, "height": 100})
            _shoot(page, HOME / "slack.html", IMAGES / f"slack-{scheme}.png", full_page=True)


def _play(home: Path) -> None:
    """The demo with its colours, as it stands in a terminal of COLUMNS."""
    shutil.rmtree(home, ignore_errors=True)
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).with_name("softlaunch")), "demo", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, cwd=ROOT)
    (home / "demo.ansi").write_bytes(done.stdout)


def _terminal(transcript: Path, theme: Any) -> str:
    """How the demo began and how it ended, as an SVG that names no font of others."""
    lines = _MOVES.sub("", transcript.read_text(encoding="utf-8")).splitlines()
    plain = [Text.from_ansi(line).plain for line in lines]
    ending = max(number for number, line in enumerate(plain) if line.startswith("What happened"))
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in ["$ make demo", *lines[:2], "...", *lines[ending:]]:
        if not line.startswith(("Reports:", "Logs:", "Prefect's UI", "Your own app")):
            console.print(Text.from_ansi(line))
    return _ELSEWHERE.sub("", console.export_svg(title="softlaunch demo", theme=theme, unique_id="demo"))


def _rolled_back(home: Path) -> tuple[str, str]:
    """The first release that users met and that was rolled back: its id, and its thread as people see it in Slack."""
    links = Links("https://runbooks.example", "https://reports.example")
    database = open_database(f"sqlite:///{home / 'ledger.db'}")
    with database.read() as session:
        rolled_back = select(ReleaseRow).where(ReleaseRow.state == "rolled_back")
        row = session.exec(rolled_back.order_by(col(ReleaseRow.number)).limit(1)).one()
        head = head_blocks(read_view(session, row, utc_now()), links)
        told = select(NoticeRow).where(NoticeRow.release_id == row.id, NoticeRow.event == "opened")
        notice = to_notice(session.exec(told.order_by(col(NoticeRow.id)).limit(1)).one())
        incident = read_incident(session, notice.details["incident"])
        reply = blocks_of(Envelope(notice, incident=incident, run_url=row.run_url), links)
    database.close()
    render = _block_kit().render
    messages = (render([block.to_dict() for block in blocks]) for blocks in (head, reply))
    shown = "".join(f"<article><b class=name>softlaunch<i>APP</i></b>{message}</article>" for message in messages)
    return row.id, f"<!doctype html><meta charset=utf-8><style>{_SLACK}</style>{shown}"


def _block_kit() -> Any:
    """What the tests look at messages with: Slack's blocks as HTML."""
    (path,) = (ROOT / "tests").rglob("block_kit.py")
    spec = importlib.util.spec_from_file_location("block_kit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("pictures need chromium; on Debian and Ubuntu: apt-get install --no-install-recommends chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


def _shoot(page: Page, source: Path, target: Path, **options: Any) -> None:
    page.goto(source.resolve().as_uri())
    page.screenshot(path=target, **options)


if __name__ == "__main__":
    main(sys.argv[1:])
