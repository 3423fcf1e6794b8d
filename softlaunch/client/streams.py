"""Streamed answers of wrapped clients: handed on as they come, and recorded when they end, break or are left."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from softlaunch.client.call import Call
from softlaunch.client.wrapping import Asked, document_of, failed_by, read_by
from softlaunch.core.odd_json import written
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.protocol import StreamLimits
from softlaunch.gateway.refusals import classify

_LONGEST_EVENT = 64 * 1024 * 1024


class StreamReading:
    """Reads the pieces of a streamed answer into its call's record."""

    def __init__(self, call: Call, asked: Asked) -> None:
        self._call = call
        self._hides_usage = asked.hides_usage
        self._facts = Facts()
        limits = StreamLimits(_LONGEST_EVENT)
        self._stream = asked.protocol.stream(self._facts, read_by(asked, call.variant), limits)
        self._broken = False

    def take(self, piece: Any) -> bool:
        """A piece; whether the application gets it: usage that we alone asked for, it doesn't."""
        document = document_of(piece)
        self._feed(document)
        if self._stream.token_seen:
            self._call.first_token()
        if self._stream.finished and self._call.outcome is None:
            self._note_answer()
        is_usage = isinstance(document, dict) and document.get("usage") and not document.get("choices")
        return not (self._hides_usage and is_usage)

    def over(self) -> None:
        """Nothing more comes."""
        if self._call.outcome is None:
            if self._stream.whole and not self._broken:
                self._note_answer()
            else:
                self._call.failed(RequestOutcome.CUT if self._stream.has_answer else RequestOutcome.MALFORMED, 200)
        self._finish()

    def broke(self, error: BaseException) -> None:
        """The package raised an error in the midst; behind the answer's end it changes nothing."""
        if self._call.outcome is None:
            failed_by(self._call, error)
        self._finish()

    def left(self) -> None:
        """The application reads no further."""
        if self._call.outcome is None:
            self._call.failed(RequestOutcome.CLIENT_GONE)
        self._finish()

    def _feed(self, document: Any) -> None:
        if self._broken:
            return
        try:
            self._stream.feed(b"data: " + written(document) + b"\n\n")
            self._stream.check()
        except MalformedAnswerError:
            self._broken = True
        except ReportedError as reported:
            self._broken = True
            self._call.failed(classify(200, reported.error).outcome, 200)

    def _note_answer(self) -> None:
        stream = self._stream
        self._call.answered(self._facts.usage, stream.finish_reason, outcome=stream.outcome())

    def _finish(self) -> None:
        self._call.about(self._facts.resolved_model, self._facts.fingerprint)
        self._call.told(self._facts.usage)
        self._call.finish()


class _Wrapped:
    """What both kinds of streams have in common: everything that isn't reading is the package's."""

    def __init__(self, stream: Any, reading: StreamReading) -> None:
        self._wrapped = stream
        self._reading = reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __del__(self) -> None:
        reading = self.__dict__.get("_reading")
        if reading is not None:
            reading.left()


class RecordedStream(_Wrapped):
    """A stream of the package's, recorded."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                piece = next(self._wrapped)
            except StopIteration:
                self._reading.over()
                raise
            except BaseException as error:
                self._reading.broke(error)
                raise
            if self._reading.take(piece):
                return piece

    def close(self) -> None:
        """Read no further."""
        self._reading.left()
        self._wrapped.close()

    def __enter__(self) -> "RecordedStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRecordedStream(_Wrapped):
    """An asynchronous stream of the package's, recorded."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                piece = await self._wrapped.__anext__()
            except StopAsyncIteration:
                self._reading.over()
                raise
            except BaseException as error:
                self._reading.broke(error)
                raise
            if self._reading.take(piece):
                return piece

    async def close(self) -> None:
        """Read no further."""
        self._reading.left()
        await self._wrapped.close()

    async def __aenter__(self) -> "AsyncRecordedStream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
