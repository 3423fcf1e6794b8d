"""Text that fits into Slack's blocks: escaped, clipped to their limits, and drawn with characters."""

import re
from datetime import datetime
from urllib.parse import quote

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, ContextBlock, MarkdownTextObject, SectionBlock

from softlaunch.core.visible import one_line, visible
from softlaunch.notify.links import is_address

SECTION, HEADER, BUTTON, FALLBACK = 3000, 150, 75, 4000
_FILLED, _EMPTY = "█", "░"
_EMOJI_CODE = re.compile(r"(?<!\d):(?=[A-Za-z0-9_+'-]+:)")
_JOINER = "\u2060"  # has no width, and ends no word
_LIKE_A_BACKTICK = "\u02cb"
_OF_ADDRESSES = "%/:?#[]@!$&'()*+,;=~"


def clip(text: str, limit: int) -> str:
    """The text, or as much of it as fits, ended by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escape(text: str) -> str:
    """Text in which Slack sees neither links, mentions nor emoji codes, and in which every character can be seen."""
    whole = _EMOJI_CODE.sub(f":{_JOINER}", visible(text))
    return whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = SECTION) -> str:
    """A text as it is, on one line between backticks, none of which is its own."""
    return f"`{words(one_line(text).replace('`', _LIKE_A_BACKTICK), limit)}`"


def words(text: str, limit: int = SECTION) -> str:
    """What people wrote, escaped and clipped: never in the middle of an escape."""
    room = limit
    while len(shown := escape(clip(text, room))) > limit:
        room -= len(shown) - limit
    return shown


def section(text: str) -> SectionBlock:
    """A paragraph; `text` is escaped already."""
    return SectionBlock(text=MarkdownTextObject(text=clip(text, SECTION)))


def context(*texts: str) -> ContextBlock:
    """Small print; at most ten pieces."""
    return ContextBlock(elements=[MarkdownTextObject(text=clip(text, SECTION)) for text in texts if text][:10])


def link(label: str, target: str) -> str:
    """A link, or the path as it is where nothing serves it."""
    if not is_address(target):
        return f"{escape(label)}: {code(target)}"
    return f"<{quote(target, safe=_OF_ADDRESSES)}|{escape(label)}>"


def bar(share: float, width: int = 10) -> str:
    """A share in [0, 1] as a bar; something is never shown as nothing."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return (_FILLED * (filled or int(share > 0))).ljust(width, _EMPTY)


def moment(at: datetime) -> str:
    """A time that each reader sees in their own time zone."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def buttons(*elements: ButtonElement) -> list[Block]:
    """A row of buttons, or nothing."""
    return [ActionsBlock(elements=list(elements))] if elements else []


def button(text: str, action: str, value: str, style: str | None = None) -> ButtonElement:
    """A button that asks for a decision."""
    return ButtonElement(text=clip(text, BUTTON), action_id=action, value=clip(value, 2000), style=style)


def opens(text: str, action: str, url: str) -> list[ButtonElement]:
    """A button that opens an address, where there is one."""
    return [ButtonElement(text=clip(text, BUTTON), action_id=action, url=url)] if is_address(url) else []
