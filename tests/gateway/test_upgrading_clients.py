"""Clients that offer an upgrade on plain HTTP: Java's own and curl, as they come."""

import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from tests.gateway.worlds import APP, World

QUESTION = {"model": APP, "messages": [{"role": "user", "content": "Hi"}]}
JAVA = """
import java.net.URI;
import java.net.http.*;

public class Ask {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int index = 1; index < args.length; index++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
                .POST(HttpRequest.BodyPublishers.ofString(args[index])).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body().replace("\\n", ""));
        }
    }
}
"""


@pytest.mark.long
@pytest.mark.parametrize("client", ["java", "curl"])
def test_they_are_answered_whole(world: World, tmp_path: Path, client: str) -> None:
    """A short request, a large one, a stream and a refusal, one after the other."""
    if shutil.which(client) is None:
        pytest.skip(f"{client} isn't installed")
    large = QUESTION | {"messages": [{"role": "user", "content": "x" * 100_000}]}
    bodies = [orjson.dumps(one).decode() for one in (QUESTION, large, QUESTION | {"stream": True}, {"model": APP})]
    url = f"{world.url}/v1/chat/completions"
    if client == "java":
        (tmp_path / "Ask.java").write_text(JAVA, encoding="utf-8")
        told = _lines(["java", str(tmp_path / "Ask.java"), url, *bodies])
    else:
        options = ["curl", "-s", "--http2", "-o", "-", "-w", "\n", url, "-d"]
        told = ["".join(_lines([*options, body])) for body in bodies]
    assert ["I am stable." in told[0], "I am stable." in told[1], told[2].endswith("data: [DONE]")] == [True] * 3
    assert "'messages' must be a list" in told[3]
    assert [body["messages"][-1]["content"] for body in world.models.bodies] == ["Hi", "x" * 100_000, "Hi"]


def _lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [line for line in done.stdout.splitlines() if line]
