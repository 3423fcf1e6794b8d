"""A stand-in for a browser, for tests in which none is needed: forms, hidden fields, cookies."""

import re
from html import unescape

import httpx

from softlaunch.console.guarding import POLICY
from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from tests.reports.page_reader import PageReader


class Browser:
    """What a browser does with forms and cookies, without a browser: a client, and the last page's hidden fields."""

    def __init__(self, console: Console, address: str = "127.0.0.1", **headers: str) -> None:
        transport = httpx.ASGITransport(build_app(console), client=(address, 4711))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8820", headers=headers)

    async def get(self, address: str) -> httpx.Response:
        """Open a page."""
        return await self.client.get(address)

    async def send(self, address: str, /, page: str | None = None, **fields: str) -> httpx.Response:
        """Open the page of a form, fill it in and send it, as a browser does."""
        shown = await self.client.get(page or address)
        return await self.post(address, {**hidden_fields(shown.text), **fields})

    async def post(self, address: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form."""
        told = {"origin": "http://127.0.0.1:8820", "sec-fetch-site": "same-origin", **headers}
        return await self.client.post(address, data=fields, headers=told)


def check_page(answer: httpx.Response) -> None:
    """It is well-formed, has one heading of the first level, no style or script inside, and only addresses of ours."""
    address = answer.url.path
    assert answer.status_code == 200, address
    assert answer.headers["content-security-policy"] == POLICY
    addresses = PageReader(answer.text).addresses
    assert [one for one in addresses if not one.startswith(("/", "#", "?"))] == [], address
    for unwanted in (r" style=", r"<style", r"<script(?! src=\"/static/)"):
        assert re.findall(unwanted, answer.text) == [], address
    assert answer.text.count("<h1") == 1, address


def hidden_fields(page: str) -> dict[str, str]:
    """Names and values of a page's hidden fields."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}
