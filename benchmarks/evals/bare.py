"""The floor: connections and requests by hand on asyncio streams, every answer read and compared, nothing else.

`python bare.py PORT CASES CONCURRENCY`
"""

import asyncio
import json
import sys


async def worker(port: int, questions: list[str], right: list[bool]) -> None:
    """Ask until no question is left, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while questions:
        message = {"model": "bench", "messages": [{"role": "user", "content": questions.pop()}]}
        body = json.dumps(message).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = int(answered.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        completion = json.loads(await reader.readexactly(length))
        right.append(completion["choices"][0]["message"]["content"] == "yes")
    writer.close()


async def main(port: int, cases: int, concurrency: int) -> None:
    """Ask everything."""
    questions, right = [f"Question {number}?" for number in range(cases)], []
    await asyncio.gather(*(worker(port, questions, right) for _ in range(concurrency)))
    assert sum(right) == cases


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
