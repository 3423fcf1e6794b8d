"""A real inference server behind the gateway: llama.cpp with a tiny model of random weights."""

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

START_SECONDS = 30.0
_SERVE = """
import sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
params.n_ctx, params.n_parallel, params.warmup = 2048, 2, False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
time.sleep(3600)
"""


def write_tiny_model(path: Path) -> None:
    """A llama of one layer, 64 wide, with random weights and a vocabulary of bytes: what it says means nothing."""
    import gguf
    import numpy as np

    rng = np.random.default_rng(1)
    width, hidden, heads = 64, 128, 4
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{value:02X}>".encode() for value in range(256))]
    tokens += [b" " + bytes([value]) for value in range(97, 123)]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * 26)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    shapes = {"token_embd": (len(tokens), width), "output_norm": (width,), "output": (len(tokens), width)}
    shapes |= {f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,), "blk.0.ffn_down": (width, hidden)}
    shapes |= {"blk.0.ffn_gate": (hidden, width), "blk.0.ffn_up": (hidden, width)}
    for name, shape in shapes.items():
        tensor = np.ones(shape) if len(shape) == 1 else rng.normal(0, 0.2, shape)
        writer.add_tensor(f"{name}.weight", tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def inference_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a llama.cpp server, or a skip that says why it doesn't run here."""
    for needed in ("xllamacpp", "gguf"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("inference")
    write_tiny_model(folder / "tiny.gguf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(folder / "tiny.gguf"), str(port)], stdout=log, stderr=log
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, verify=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    last = log.read_text(errors="replace").splitlines()[-1:]
    pytest.skip(f"llama.cpp's server doesn't start here: {' '.join(last)}")


@pytest.fixture(scope="module")
def world(inference_server: str, migrated_file_url: str, shared_models: FakeModels) -> Iterator[World]:
    """A gateway in front of it; the price of its model is nobody's."""
    served = variant("tiny", inference_server, input_usd_per_million=None, output_usd_per_million=None)
    with running_world(migrated_file_url, shared_models, stable=served) as running:
        yield running


@pytest.fixture(scope="module")
def client(world: World) -> openai.OpenAI:
    """The official client."""
    return openai.OpenAI(base_url=f"{world.url}/v1", api_key="none", max_retries=0)


def test_a_real_server_answers(client: openai.OpenAI, world: World) -> None:
    """Its tokens and its model's name are in the log; the same seed and temperature say the same again."""
    asked: CompletionCreateParamsNonStreaming = {
        "model": APP,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 8,
        "temperature": 0,
    }
    raw = client.chat.completions.with_raw_response.create(**asked)
    first, again = raw.parse(), client.chat.completions.create(**asked)
    assert first.usage is not None
    (row,) = world.rows(1, request_id=raw.request_id)
    assert (row.input_tokens, row.output_tokens) == (first.usage.prompt_tokens, first.usage.completion_tokens)
    assert (row.resolved_model, row.outcome, row.cost_usd) == (first.model, "truncated", None)
    assert first.choices[0].message.content == again.choices[0].message.content


def test_a_real_server_streams(client: openai.OpenAI, world: World) -> None:
    """Its stream is whole, and its usage is learned although the client didn't ask."""
    chunks = list(
        client.chat.completions.create(
            model=APP, messages=[{"role": "user", "content": "Hi"}], max_tokens=8, stream=True, user="streamer"
        )
    )
    assert chunks[-1].choices[0].finish_reason
    assert all(chunk.usage is None for chunk in chunks)
    (row,) = world.rows(1, streamed=True)
    assert row.outcome == "truncated"
    assert row.output_tokens
    assert row.first_token_ms is not None


def test_a_real_server_refuses(client: openai.OpenAI, world: World) -> None:
    """A question longer than its context is a 400 of the server's, in its words, and the client's own fault."""
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=APP, messages=[{"role": "user", "content": "long " * 2000}])
    (row,) = world.rows(1, status=400)
    assert row.outcome == "request_at_fault"
