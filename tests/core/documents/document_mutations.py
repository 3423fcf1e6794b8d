"""Documents of every kind, and what people, editors and attackers do to them: seeded mutations."""

import random
import re

LEAST = {
    "policy.yaml": "app: shop\nowner: anna@example.com\neval: {golden_set: golden.jsonl, tolerance: 2 points}\n"
    "stages:\n  - {weight_percent: 5, minimum_time: 30 min, deadline: 1 d}\n  - {weight_percent: 100}\n"
    "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: latency, margin: 10 %}\n"
    "alpha: 0.01\ntexts: {keep: true}\n",
    "golden.jsonl": '{"suite": {"owner": "anna", "created": "2026-09-01"}}\n'
    '{"id": "1", "question": "Open?", "expected": "9:00", "tags": ["hours"], "weight": 2}\n'
    '{"id": "2", "messages": [{"role": "user", "content": "Price?"}], "expected": 4.9, "metric": "numeric"}\n'
    '{"id": "3", "variables": {"n": 1}, "expected": "yes", '
    '"metrics": ["exact", {"metric": "regex", "expected": "y.s"}]}\n',
    "golden.yaml": "suite: {owner: anna, created: 2026-09-01, error_budget: 10 points}\ncases:\n"
    '  - &a {id: c1, question: "Open?", expected: \'9:00\', tags: [x]}\n  - {<<: *a, id: c2, question: "When?"}\n',
    "v1.0.0.md": "---\nauthor: anna\ncreated: 2026-03-02\npurpose: first\n"
    "variables: [name]\ndefaults: {shop: Fern}\n---\n"
    "Hello {{ name|upper }} of {{ shop }}.\n{% for i in range(3) %}{{ i }}{% endfor %}\n\n## user\n{{ name }}?\n",
    "models.yaml": "- {name: small, provider: openai, model: gpt-x, endpoint: 'https://a.example/v1'}\n"
    "- name: large\n  provider: openai\n  model: gpt-y\n  endpoint: https://b.example/v1\n"
    "  input_usd_per_million: 2.5\n",
    "variants.yaml": "stable: first\nvariants:\n"
    "  first: {prompt: p@1.0.0, model: small, sampling: {temperature: 0.2}}\n",
    "profiles.yaml": "- name: one\n  latency: {p50_s: 1.0, p95_s: 2.0}\n  accuracy: 0.9\n  faults: []\n",
    "questions.csv": 'id,question,expected,tags,variables\n1,Open?,9:00,a;b,"{""n"": 1}"\n2,"When, then?",10,,\n',
    "promptfoo.yaml": "tests:\n  - vars: {q: Open}\n    assert: [{type: contains, value: '9'}, {type: is-json}]\n"
    "defaultTest: {assert: [{type: latency, threshold: 500}]}\n",
    "promptfoo.csv": "q,__expected,__expected1\nOpen?,contains: 9,latency(500):\n",
    "mt_bench.jsonl": '{"question_id": 81, "category": "writing", "turns": ["a", "b"], "reference": ["x"]}\n',
    "alpaca.json": '[{"instruction": "Say hi", "output": "hi", "dataset": "d"}, '
    '{"instruction": "Bye", "output": "bye"}]\n',
    "outputs.csv": 'id,question,answer,latency\n1,Open?,9:00,0.5\n2,"a\nb",c,1\n',
    "outputs.jsonl": '{"id": 1, "answer": "9:00", "score": NaN}\n{"id": 2, "answer": null, "score": 1.5}\n',
    "labels.csv": "id,question,answer,votes,judge\n1,Open?,9:00,right,right\n2,When?,10,wrong,right\n",
    "recording.csv": "model,question,answer,latency,cost\na/b,Open?,9:00,0.5,0.001\na/b,When?,10,1,\n",
    "arrivals.csv": "TIMESTAMP,x\n2026-03-01T12:00:00,1\n2026-03-01T12:00:01.5,2\n",
    "samples.csv": "ts,arm,unit,ok,latency_ms,quality\n2026-03-01T11:59:59Z,stable,u1,true,120,0.5\n"
    "2026-03-01T12:00:00Z,candidate,u2,false,90,\n",
}
"""A sound document of each kind, by its file's name."""

_VALUES = (
    "9" * 6000,
    "-" + "1" * 400,
    "0x" + "f" * 500,
    "1e999",
    ".nan",
    ".inf",
    "NaN",
    "-Infinity",
    "01067",
    "9:30",
    "1:1:1:1",
    "2026-02-30",
    "0000-00-00",
    "9999-12-31T23:59:59-23:59",
    "2026-13-01 25:61:61",
    "!!int x",
    "!!timestamp x",
    "!!binary '*'",
    "!!python/object:os.system x",
    "!!set {a}",
    "!!float abc",
    "!!bool x",
    "!!null x",
    "!foo bar",
    "&a [*a]",
    "*nothing",
    "&a {<<: *a}",
    "{<<: 1}",
    "{<<: [1, [2]]}",
    "? [a, b]\n: c",
    "{[a]: b}",
    "{1: 2, null: 3}",
    "[" * 3000,
    "[" * 100 + "]" * 100,
    '{"a":' * 200 + "1" + "}" * 200,
    "{{" + "(" * 500 + "1" + ")" * 500 + "}}",
    "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "{{ 'x' * 10 ** 9 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ x.y.z }}",
    "{% include 'x' %}",
    '"\\ud800"',
    '"\\u0000"',
    '"\\U00110000"',
    '"\\UFFFFFFFF"',
    "\x00",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\x1b[31m",
    "\U0001f600" * 50,
    "e\u0301",
    "\x85",
    "null",
    "true",
    "17",
    "1.5",
    "word",
    '"word"',
    "[1, 2]",
    '[["a"]]',
    '{"a": 1}',
    '[{"a": {"b": []}}]',
    "yes",
    "~",
    "[]",
    "{}",
    '""',
    "-1",
    "0",
    "1e-400",
    "x" * 200_000,
    ",",
    ";" * 50,
    '"',
    "'",
    "\t",
    "---\n",
    "...\n",
    "%YAML 9.9\n---\n",
    "# " + "x" * 100,
    "a: b: c",
    "|\n x",
    ">-\n\n y",
    "\n" * 500,
    "\r",
    "\r\n",
)
_BYTES = (b"\xff\xfe", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\xc3", b"\xe4", b"\x1f\x8b\x08")
_GROUP = re.compile(rb"\{[^{}]*\}|\[[^\[\]]*\]")
_VALUE = re.compile(rb"[^\s,:{}\[\]\"']+|\"[^\"\n]*\"|'[^'\n]*'")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content after one to three mutations."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(_MUTATIONS)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"\n")
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _another_value(content: bytes, rng: random.Random) -> bytes:
    found = list(_VALUE.finditer(content))
    if not found:
        return content
    chosen = rng.choice(found)
    return content[: chosen.start()] + _value(rng) + content[chosen.end() :]


def _another_group(content: bytes, rng: random.Random) -> bytes:
    """Something of another kind in the place of a list or mapping."""
    found = list(_GROUP.finditer(content))
    if not found:
        return _another_value(content, rng)
    chosen = rng.choice(found)
    return content[: chosen.start()] + _value(rng) + content[chosen.end() :]


def _value(rng: random.Random) -> bytes:
    return rng.choice(_BYTES) if rng.random() < 0.1 else rng.choice(_VALUES).encode("utf-8", "surrogatepass")


def _double_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    position = rng.randrange(len(lines))
    return b"\n".join([*lines[: position + 1], *[lines[position]] * rng.choice((1, 2, 300)), *lines[position + 1 :]])


def _drop(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 5, 50, 10_000)) :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + _value(rng) + content[start:]


def _nest(content: bytes, rng: random.Random) -> bytes:
    found = list(_VALUE.finditer(content))
    if not found:
        return content
    chosen, depth = rng.choice(found), rng.choice((3, 25, 70, 1200))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a": ', b"}"), (b"{{", b"}}"), (b"(", b")")))
    return content[: chosen.start()] + opened * depth + chosen[0] + closed * depth + content[chosen.end() :]


def _shuffle(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


_MUTATIONS = (_flip, _another_value, _another_value, _another_group, _double_line, _drop, _insert, _nest, _shuffle)
