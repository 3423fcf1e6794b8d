"""Ids of requests: unique and whole, whoever draws them."""

import re
from concurrent.futures import ThreadPoolExecutor

from softlaunch.core.request_ids import app_of, request_id_for


def test_two_gateways_in_one_process_draw_at_once() -> None:
    """Event loops in different threads neither disturb one another nor get the same id."""
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda _: [request_id_for("bot") for _ in range(5_000)], range(4)))
    ids = [one for part in drawn for one in part]
    assert len(set(ids)) == 20_000
    assert all(re.fullmatch("bot-[0-9a-f]{22}", one) for one in ids)
    assert app_of(ids[0]) == "bot"
