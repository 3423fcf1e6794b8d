"""Make the README's pictures from a real demo: the console while a release is live, the demo's end in a terminal, a
release's page, and its thread in Slack.

`python docs/pictures.py` plays the demo first, which takes about four minutes. `--again` takes what the last one left,
and leaves the pictures of the console as they are: they are of a release that is under way.
It needs Chromium and a font with emoji (`apt-get install chromium fonts-noto-color-emoji`), and writes into
`docs/images/`.
"""

import importlib.util
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from softlaunch.core.clock import utc_now
from softlaunch.ledger.incidents import read_incident
from softlaunch.ledger.outbox import to_notice
from softlaunch.ledger.stages import StageState
from softlaunch.notify.interface import Envelope
from softlaunch.notify.links import Links
from softlaunch.notify.slack.head import head_blocks
from softlaunch.notify.slack.messages import blocks_of
from softlaunch.policy.release import State
from softlaunch.releases.views import read_view
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import NoticeRow, ReleaseRow, StageRow

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
HOME = ROOT / ".softlaunch" / "pictures"
COLUMNS = 112
_SECONDS_AT_HALF = 6.0
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
    """The demo with its colours, as it stands in a terminal of COLUMNS; meanwhile the console's pictures are taken."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).with_name("softlaunch")), "demo", "--home", str(home)]
    with (home.parent / "demo.ansi").open("wb") as transcript:
        demo = subprocess.Popen(command, stdout=transcript, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT)
    try:
        _take_console(home, demo)
    finally:
        ended = demo.wait()
    if ended:
        sys.exit(f"the demo ended with {ended}; its logs are in {home / 'logs'}")
    (home.parent / "demo.ansi").rename(home / "demo.ansi")


def _take_console(home: Path, demo: "subprocess.Popen[bytes]") -> None:
    """The console's pages about the demo's first release that half of the users meet, a while after that began."""
    release_id = _await(lambda: _live_at_half(home, 0.0, StageState.WAITING), demo)
    with _console(home) as address, _browser() as browser:
        shown = {
            (name, scheme): browser.new_page(color_scheme=scheme, viewport={"width": 1180, "height": height})
            for scheme in SCHEMES
            for name, height in (("apps", 430), ("release", 1120))
        }
        for (name, _), page in shown.items():
            page.goto(f"{address}/releases/{release_id}" if name == "release" else address)
        _await(lambda: _live_at_half(home, _SECONDS_AT_HALF, StageState.RUNNING), demo)
        for (name, scheme), page in shown.items():
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / f"console-{name}-{scheme}.png")


def _await(found: Callable[[], str | None], demo: "subprocess.Popen[bytes]") -> str:
    """What is found while the demo runs."""
    while demo.poll() is None:
        one = found()
        if one is not None:
            return one
        time.sleep(0.5)
    sys.exit("the demo is over, and no release came as far as the console's pictures need; is the machine busy?")


def _live_at_half(home: Path, seconds: float, state: StageState) -> str | None:
    """The live release of users whose stage at 50 % is in this state, for so many seconds; None while there is none."""
    if not (home / "ledger.db").is_file():
        return None
    database = Database(f"sqlite:///{home / 'ledger.db'}")
    half = (StageRow.weight_percent == 50, StageRow.state == state, ReleaseRow.state == State.CANARY)
    found = select(StageRow, ReleaseRow).join(ReleaseRow, col(ReleaseRow.id) == col(StageRow.release_id))
    with closing(database), suppress(SQLAlchemyError), database.read() as session:  # its tables may not be made yet
        for stage, release in session.exec(found.where(*half)):
            began = stage.entered_at or release.opened_at
            if (utc_now() - began).total_seconds() >= seconds:
                return release.id
    return None


@contextmanager
def _console(home: Path) -> Iterator[str]:
    """The console of a ledger; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "SOFTLAUNCH_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("SOFTLAUNCH_DATABASE_URL", None)
    command = [sys.executable, "-m", "softlaunch.cli", "ui", "--port", str(port)]
    served = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        _await_answer(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait()


def _await_answer(port: int) -> None:
    for _ in range(120):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.5)
    sys.exit("the console didn't start within a minute")


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
