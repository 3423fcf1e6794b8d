"""The plot of a release in its thread, from where the thread's head shows it too."""

import logging

from slack_sdk import WebClient
from slack_sdk.models.blocks import ImageBlock
from slack_sdk.models.blocks.basic_components import SlackFile

from softlaunch.ledger.outbox import MessageRef
from softlaunch.notify.interface import ReceiverError
from softlaunch.notify.plot import DecisivePlot, draw
from softlaunch.notify.slack.blocks import clip
from softlaunch.notify.slack.calls import RefusedError, call

_LOGGER = logging.getLogger(__name__)
_ALT = 1000


def shared_picture(
    client: WebClient, plot: DecisivePlot, thread: MessageRef, files: dict[str, str]
) -> ImageBlock | None:
    """The plot as a block, once it is in the thread: put there now, unless it is; None where Slack takes none.

    A file is seen by whoever sees the channel that it was shared in, so the thread has to have it before the head can.
    No message ever waits for a plot: whatever goes wrong is logged, and the messages go without it.
    """
    name = plot.file_name
    try:
        if name not in files:
            files[name] = _shared_before(client, name, thread) or _share(client, plot, thread)
    except RefusedError as error:
        files[name] = ""
        _LOGGER.warning("Slack takes no plots: %s", error.code)
    except ReceiverError as error:
        _LOGGER.warning("a plot is left out: %s", error)
    except Exception:  # whatever is wrong with a plot, the messages must get out
        files[name] = ""
        _LOGGER.warning("a plot can't be drawn", exc_info=True)
    file_id = files.get(name)
    return ImageBlock(alt_text=clip(plot.words, _ALT), slack_file=SlackFile(id=file_id)) if file_id else None


def _shared_before(client: WebClient, name: str, thread: MessageRef) -> str:
    """The id of the plot where a sender before us has put it into the thread; empty where nobody can say so."""
    try:
        found = call(client.conversations_replies, channel=thread.channel, ts=thread.name, limit=200)
    except RefusedError:
        return ""
    files = (file for message in found.get("messages") or [] for file in message.get("files") or [])
    return next((str(file["id"]) for file in files if file.get("name") == name), "")


def _share(client: WebClient, plot: DecisivePlot, thread: MessageRef) -> str:
    told = {"title": plot.title, "alt_txt": clip(plot.words, _ALT), "channel": thread.channel}
    done = call(client.files_upload_v2, filename=plot.file_name, content=draw(plot), thread_ts=thread.name, **told)
    return str(done["file"]["id"])
