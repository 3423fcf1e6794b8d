"""The plot that decided a release, as a PNG for chats: the harm of the gate that stopped it, as it went to its margin.

It is the console's plot, by the same scale, drawn without a browser.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from sqlmodel import Session

from softlaunch.core.formatting import show_harm, show_interval
from softlaunch.ledger.looks import GateLook, read_looks
from softlaunch.releases.gate_scale import Frame, Points, Scale, band, reach
from softlaunch.releases.views import ReleaseView, deciding_verdicts

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_SHARPNESS = 2  # drawn as many times larger and shrunk, so that lines are smooth
_FRAME = Frame(width=900.0, height=420.0, left=120.0, right=28.0, top=92.0, bottom=48.0)
_SMALL, _LARGE = 19.0, 25.0
_ALONE = 12.0
_CARD, _TEXT, _SOFT, _LINE = "#ffffff", "#1c2430", "#5a6472", "#d5dae1"
_BEYOND, _BAND, _HARM, _MARGIN = "#fbe3dc", "#b9d2f0", "#1f5fae", "#b3261e"


@dataclass(frozen=True, slots=True)
class DecisivePlot:
    """A gate's looks in the stage that it ended; at least one of them has an interval."""

    release_id: str
    stage: str
    gate: str
    looks: Sequence[GateLook]

    @property
    def file_name(self) -> str:
        """The same for the same plot, and for no other one."""
        return f"{self.release_id}-{re.sub(r'[^a-z0-9]+', '-', self.gate.lower()).strip('-')}.png"

    @property
    def title(self) -> str:
        """What it shows, in a few words."""
        return f"Harm of {self.gate} in {self.stage}"

    @property
    def figures(self) -> str:
        """Where it ended, in numbers."""
        last, metric = self.looks[-1], _metric(self.gate)
        interval = show_interval(metric, last.interval)
        return f"{show_harm(metric, last.harm)} ({interval}), margin {show_harm(metric, last.margin)}"

    @property
    def words(self) -> str:
        """The plot for who doesn't see it."""
        return f"{self.title} over time; at the end {self.figures}"


def decisive_plot(session: Session, view: ReleaseView) -> DecisivePlot | None:
    """The plot of a release that a gate has stopped; None while it is live, and where nothing was kept to plot."""
    release = view.release
    failed = [] if release.state.live else [verdict.name for verdict in deciding_verdicts(view)]
    if not failed:
        return None
    kept = read_looks(session, release.id).get(release.position, {})
    for gate in failed:
        looks = [look for look in kept.get(gate, ()) if look.interval is not None]
        if looks:
            return DecisivePlot(release.id, release.stage.name, gate, looks)
    return None


def draw(plot: DecisivePlot) -> bytes:
    """The plot as a PNG."""
    from PIL import Image, ImageDraw  # here: few processes ever draw

    size = (int(_FRAME.width * _SHARPNESS), int(_FRAME.height * _SHARPNESS))
    image = Image.new("RGB", size, _CARD)
    low, high = reach(plot.looks)
    _Drawing(ImageDraw.Draw(image), plot, Scale.over(_FRAME, plot.looks, low, high)).draw(high)
    shrunk = image.resize((int(_FRAME.width), int(_FRAME.height)), Image.Resampling.LANCZOS)
    written = BytesIO()
    shrunk.quantize(64).save(written, "PNG", optimize=True)
    return written.getvalue()


def _metric(gate: str) -> str:
    return gate.split(" per ", maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class _Drawing:
    on: "ImageDraw"
    plot: DecisivePlot
    scale: Scale

    def draw(self, high: float) -> None:
        """Everything, from behind to before."""
        looks, margin = self.plot.looks, self.plot.looks[-1].margin
        if margin is not None and margin < high:
            self.on.rectangle(self._at([(_FRAME.left, _FRAME.top), (_FRAME.end, self.scale.y(margin))]), fill=_BEYOND)
        self._grid()
        self.on.polygon(self._at(band(self.scale, looks, _ALONE)), fill=_BAND)
        self._across(0.0, _SOFT, 1.5)
        harm = [(self.scale.x(look.looked_at), self.scale.y(look.harm)) for look in looks if look.harm is not None]
        if margin is not None:
            self._across(margin, _MARGIN, 3.0)
            self._text((_FRAME.end, self.scale.y(margin) - 8), "margin", "rs", _MARGIN)
        if harm:
            self.on.line(self._at(harm), fill=_HARM, width=3 * _SHARPNESS, joint="curve")
            (x, y) = harm[-1]
            self.on.ellipse(self._at([(x - 6, y - 6), (x + 6, y + 6)]), fill=_HARM)
        self._text((20.0, 20.0), self.plot.title, "lt", _TEXT, _LARGE)
        self._text((20.0, 56.0), self.plot.figures, "lt", _SOFT)

    def _grid(self) -> None:
        for value in self.scale.ticks():
            self._across(value, _LINE, 1.0)
            text = show_harm(_metric(self.plot.gate), value + 0.0).replace(" points", " p")
            self._text((_FRAME.left - 10, self.scale.y(value)), text, "rm", _SOFT)
        for share, text in self.scale.moments():
            anchor = "ms" if self.scale.is_moment else "ls" if share == 0 else "rs"
            x = _FRAME.left + share * (_FRAME.end - _FRAME.left)
            self._text((x, _FRAME.height - 16), f"{text} UTC", anchor, _SOFT)

    def _across(self, value: float, colour: str, width: float) -> None:
        y = self.scale.y(value)
        self.on.line(self._at([(_FRAME.left, y), (_FRAME.end, y)]), fill=colour, width=round(width * _SHARPNESS))

    def _text(self, at: tuple[float, float], text: str, anchor: str, colour: str, size: float = _SMALL) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(size * _SHARPNESS)  # the one that Pillow brings: machines have different ones
        self.on.text(self._at([at])[0], text, fill=colour, font=font, anchor=anchor)

    def _at(self, points: Points) -> Points:
        return [(x * _SHARPNESS, y * _SHARPNESS) for x, y in points]
