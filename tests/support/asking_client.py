"""An application with softlaunch's client: `python -m tests.support.asking_client URL APP FOLDER SEED`.

It writes whom each user met into `met`, at once, and the ids of the calls that its client has flushed into `flushed`.
"""

import random
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from softlaunch.client import Client, Options
from softlaunch.client.call import Variant

_USERS = 300
_PAUSE_SECONDS = 0.1
_FLUSH_SECONDS = 0.5


def replay(variant: Variant, _request: object) -> None:
    """A copy of a call."""
    with variant.call() as call:
        call.answered()


def main(url: str, name: str, folder: Path, seed: int) -> None:
    """Ask until SIGTERM."""
    rng, told_to_stop, made = random.Random(seed), list[int](), list[str]()
    signal.signal(
        signal.SIGTERM, lambda number, _: told_to_stop.append(number)
    )  # an event's lock may be held just then
    client = Client(url, options=Options(folder=folder / "kept"))
    app = client.app(name)
    app.shadow(replay, allowed=True)
    with (folder / "met").open("a") as met, (folder / "flushed").open("a") as flushed:
        flushed_at = time.monotonic()
        while not told_to_stop:
            time.sleep(rng.uniform(0, _PAUSE_SECONDS))
            user, began = f"client-{seed}-{rng.randrange(_USERS)}", time.time()
            variant = app.variant(user=user)
            with variant.call(user) as call:
                call.answered()
            made.append(call.id)
            met.write(f"{began!r} {user} {variant.arm}\n")
            met.flush()
            if time.monotonic() - flushed_at > _FLUSH_SECONDS:
                flushed_at = time.monotonic()
                if client.flush(_FLUSH_SECONDS):
                    _write(flushed, made)
        if client.flush(30.0):
            _write(flushed, made)
    client.close()


def _write(file: TextIO, made: list[str]) -> None:
    file.write("".join(f"{one}\n" for one in made))
    file.flush()
    made.clear()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
