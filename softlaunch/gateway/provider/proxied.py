"""Calls through a proxy, which aiohttp makes: tunnels, the proxy's own credentials, TLS within."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, cast

import aiohttp
from multidict import CIMultiDict

from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import (
    AnswerTooLargeError,
    BrokenOffError,
    ConnectTimeoutError,
    InvalidHttpError,
    InvalidUrlError,
    UnreachableError,
    is_final,
)


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """What is asked."""

    method: str
    url: str
    headers: Iterable[tuple[str, str]]
    content: bytes


class ProxiedAnswer:
    """An answer that came through a proxy, as `HttpAnswer` has it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.status = response.status
        self.raw_headers = list(response.raw_headers)
        self._pieces = response.content.iter_any()

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.response.content_type

    @property
    def is_whole(self) -> bool:
        """Whether all of it has been read."""
        return self.response.content.at_eof()

    async def whole(self, most: int) -> bytes:
        """The whole body. Raises AnswerTooLargeError above `most` bytes, and BrokenOffError."""
        parts: list[bytes] = []
        async for part in self:
            parts.append(part)
            if sum(map(len, parts)) > most:
                raise AnswerTooLargeError
        return b"".join(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return cast("bytes", await anext(self._pieces))
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOffError(type(error).__name__) from error


class ProxiedCalls:
    """One connection a call: what a proxy makes of kept connections is its own affair."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def give_back(self, answer: HttpAnswer) -> None:
        """Done with an answer of these calls."""
        if isinstance(answer, ProxiedAnswer):
            answer.response.close()

    async def ask(self, asked: ProxiedRequest, proxy: str, connect_seconds: float) -> ProxiedAnswer:
        """The head of an answer. Raises ProviderCallError."""
        try:
            response = await self._session.request(
                asked.method,
                asked.url,
                data=asked.content,
                headers=CIMultiDict(asked.headers),
                allow_redirects=False,
                timeout=_timeout(connect_seconds),
                proxy=proxy,
            )
        except aiohttp.ConnectionTimeoutError as error:
            raise ConnectTimeoutError(f"no connection within {connect_seconds:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise BrokenOffError(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(type(error).__name__) from error
        except ValueError as error:
            raise InvalidUrlError(str(error)) from error
        if not is_final(response.status):
            response.close()
            raise InvalidHttpError(f"the provider answered with the status {response.status}, which HTTP doesn't have")
        return ProxiedAnswer(response)


@lru_cache(maxsize=256)
def _timeout(connect_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=connect_seconds)
