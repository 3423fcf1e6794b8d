"""Block Kit as HTML, for people to look at: the structure of a message, roughly as a phone shows it."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

_STYLE = """body{font:15px/1.45 sans-serif;max-width:420px;margin:16px;background:#f4f4f4;color:#1d1c1d}
article{background:#fff;border:1px solid #ddd;border-radius:8px;padding:10px 14px;margin:0 0 14px}
h3{margin:4px 0;font-size:18px} p{margin:6px 0;white-space:pre-wrap} small{color:#616061;display:block;margin:5px 0}
pre,code{background:#f0f0f0;font:12px/1.4 monospace;border-radius:4px} pre{padding:6px;overflow-x:auto;margin:4px 0}
button{font:14px sans-serif;padding:6px 12px;margin:4px 6px 4px 0;border:1px solid #aaa;border-radius:6px}
.primary{background:#007a5a;color:#fff} .danger{background:#e01e5a;color:#fff} h2{font-size:13px;color:#777}
textarea{width:95%}"""
_EMOJI = {
    "rotating_light": "🚨",
    "ticket": "🎫",
    "raised_hand": "✋",
    "white_check_mark": "✅",
    "no_entry": "⛔",
    "hourglass": "⌛",
    "wastebasket": "🗑",
    "leftwards_arrow_with_hook": "↩️",
    "large_blue_circle": "🔵",
    "black_square_for_stop": "⏹",
}


def page(messages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A page that shows every message under its name."""
    shown = "".join(
        f"<h2>{html.escape(name)}</h2><article>{render(blocks)}</article>" for name, blocks in messages.items()
    )
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{shown}"


def render(blocks: Sequence[Mapping[str, Any]]) -> str:
    """One message."""
    return "".join(_block(block) for block in blocks)


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "section":
            return f"<p>{_mrkdwn(block['text']['text'])}</p>"
        case "context":
            return "".join(f"<small>{_mrkdwn(element['text'])}</small>" for element in block["elements"])
        case "input":
            return f"<p><b>{html.escape(block['label']['text'])}</b></p><textarea rows=3></textarea>"
        case "actions":
            return "".join(_button(element) for element in block["elements"])
    raise ValueError(f"no picture of a block of type {block['type']}")


def _button(element: Mapping[str, Any]) -> str:
    text = html.escape(element["text"]["text"])
    return f"<button class='{element.get('style', '')}' title='{element.get('url', '')}'>{text}</button>"


def _mrkdwn(text: str) -> str:
    """Slack's markup, which is escaped like HTML already."""
    shown = re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", text)
    shown = re.sub(r"<(https?://[^|>]+)\|([^>]*)>", r"<a href='\1'>\2</a>", shown)
    shown = re.sub(r"```(.*?)```", r"<pre>\1</pre>", shown, flags=re.DOTALL)
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", shown)
    shown = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", shown)
    return re.sub(r":(\w+):", lambda found: _EMOJI.get(found.group(1), found.group(0)), shown)
