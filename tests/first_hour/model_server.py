"""A model server that knows nothing of softlaunch: chat completions, whole or streamed, by the standard library alone.

Run as a program it serves on the port that it is given, and wants the key that MODEL_KEY holds.
"""

import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "tiny-1"


class Model(BaseHTTPRequestHandler):
    """Repeats the last word of what it is asked, after a few hundredths of a second."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_POST(self) -> None:
        """Answer a chat completion."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {os.environ['MODEL_KEY']}":
            self._send(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
        elif asked["model"] != MODEL:
            self._send(404, {"error": {"message": f"no model {asked['model']}", "code": "model_not_found"}})
        else:
            time.sleep(random.uniform(0.02, 0.04))
            self._answer(asked["messages"][-1]["content"].split()[-1], streamed=bool(asked.get("stream")))

    def _answer(self, text: str, *, streamed: bool) -> None:
        answer: dict[str, Any] = {"id": "c1", "created": 1, "model": MODEL}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        if not streamed:
            message = {"role": "assistant", "content": text}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            self._send(200, {**answer, "object": "chat.completion", "choices": choices, "usage": usage})
            return
        delta = {"role": "assistant", "content": text}
        chunk = {**answer, "object": "chat.completion.chunk"}
        parts = [
            {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**chunk, "choices": [], "usage": usage},
        ]
        events = "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n"
        self._write(200, "text/event-stream", events.encode())

    def _send(self, status: int, document: dict[str, Any]) -> None:
        self._write(status, "application/json", json.dumps(document).encode())

    def _write(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
