"""What the processes of one gateway command have counted, told by whichever of them is asked."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_PATIENCE_SECONDS = 1.0
_LABEL = "process"


class Siblings:
    """Each process listens on a socket in a folder of theirs, and tells there what it has counted.

    Whoever asks one of them over HTTP gets the counts of all, each with a label `process`: their connections are the
    kernel's choice, and the counts of one alone would jump back and forth.
    """

    def __init__(self, folder: Path, place: int, count: int) -> None:
        self._paths = [folder / f"{number}.sock" for number in range(count)]
        self._place = place
        self._server: asyncio.Server | None = None

    async def open(self, own: Callable[[], bytes]) -> None:
        """Listen; `own` gives this process's counts in Prometheus' text format. Raises OSError."""

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
            with contextlib.suppress(OSError):
                writer.write(own())
                await writer.drain()
            writer.close()

        path = self._paths[self._place]
        path.unlink(missing_ok=True)  # of a process whose place this one took
        self._server = await asyncio.start_unix_server(tell, path)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def text(self, own: bytes) -> bytes:
        """The counts of all of them; one that doesn't answer within a second is left out."""
        others = [place for place in range(len(self._paths)) if place != self._place]
        told = await asyncio.gather(*(self._ask(place) for place in others))
        by_place = {self._place: own, **dict(zip(others, told, strict=True))}
        return labelled({place: text for place, text in sorted(by_place.items()) if text is not None})

    async def _ask(self, place: int) -> bytes | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._paths[place])
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return None


def labelled(texts: dict[int, bytes]) -> bytes:
    """Texts in Prometheus' format as one, each sample with the number of the process that it is from."""
    families: dict[str, Metric] = {}
    for place, text in texts.items():
        for family in text_string_to_metric_families(text.decode()):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.samples.append(sample._replace(labels={**sample.labels, _LABEL: str(place)}))
    return generate_latest(_Fixed(families.values()))


class _Fixed(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
