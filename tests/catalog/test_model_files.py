"""models.yaml and variants.yaml."""

from pathlib import Path

import pytest

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.model_files import ModelFileError, load_models


def test_an_app_folder_is_read_whole(app_folder: Path) -> None:
    """Variants are put together from the prompts and models that they name."""
    app = read_app(app_folder)
    assert app.stable == "current"
    assert {name: variant.label for name, variant in app.variants.items()} == {
        "current": "support@1.0.0 on steady, temperature 0.2",
        "brief": "support@1.1.0 on steady",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("name: steady", "line 1: found a mapping, expected a list", id="no list"),
        pytest.param("- {name: a, provider: x, model: m}", "line 1: [0].endpoint: is missing", id="no endpoint"),
        pytest.param(
            "- name: a\n  provider: x\n  model: m\n  endpoint: ftp://x",
            "line 4: [0].endpoint: found 'ftp://x'",
            id="an endpoint that isn't HTTP",
        ),
        pytest.param(
            "- name: a\n  provider: x\n  model: m\n  endpoint: http://x\n  api_key: sk-1",
            "line 5: [0].api_key: unknown key; did you mean 'api_key_env'?",
            id="a key in the file",
        ),
        pytest.param(
            "- {name: a, provider: x, model: m, endpoint: 'http://x'}\n"
            "- {name: a, provider: x, model: n, endpoint: 'http://x'}",
            "line 2: [1].name: 'a' is on line 1 already; names are unique",
            id="one name twice",
        ),
        pytest.param(
            "- name: a\n  provider: x\n  model: m\n  endpoint: http://x\n  headers:\n    x-team: a\n    api-key: sk-1",
            "line 7: [0].headers.api-key: a secret, and this file is recorded: put it into a variable and write {env: ",
            id="a key in a header",
        ),
        pytest.param(
            "- name: a\n  provider: x\n  model: m\n  endpoint: http://x\n  headers: {anthropic-version: 2023-06-01}",
            "line 5: [0].headers.anthropic-version: expected a text in quotes, or {env: NAME_OF_A_VARIABLE}",
            id="a date in a header",
        ),
        pytest.param(
            "- {name: a, provider: x, model: m, endpoint: 'http://x', stream_usage: nevr}",
            "line 1: [0].stream_usage: found 'nevr', expected 'auto', 'always' or 'never'; did you mean 'never'?",
            id="a misspelt rule",
        ),
        pytest.param(
            "- {name: a, provider: x, model: 4, endpoint: 'http://x'}",
            "[0].model: found 4, expected a text; put it in quotes",
            id="a number for a model",
        ),
    ],
)
def test_a_mistake_in_models_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A models file that can't be used is named with line and key, and a secret in it isn't repeated."""
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(ModelFileError) as caught:
        load_models(tmp_path / "models.yaml")
    assert said in str(caught.value)
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "stable: a\nvariants:\n  a: {prompt: support@9.9.9, model: steady}",
            "line 3: variants.a.prompt: found 'support@9.9.9', expected one of: support@1.0.0, support@1.1.0",
            id="a prompt that isn't there",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a: {prompt: support@1.0.0, model: stedy}",
            "line 3: variants.a.model: found 'stedy', expected one of: cheap, steady",
            id="a model that isn't there",
        ),
        pytest.param(
            "stable: b\nvariants:\n  a: {prompt: support@1.0.0, model: steady}",
            "line 1: stable: found 'b', expected one of the variants: a",
            id="a stable that isn't there",
        ),
        pytest.param(
            "stable: production\nvariants:\n  production: {prompt: support@1.0.0, model: steady}",
            "line 3: variants.production: releases move this alias; use another name",
            id="a name that releases use",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a:\n    prompt: support@1.0.0\n    model: steady\n    sampling: {temprature: 1}",
            "line 6: variants.a.sampling.temprature: unknown key; did you mean 'temperature'?",
            id="a misspelt sampling parameter",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a: {prompt: support@1.0.0, model: steady, sampling: {temperature: 3}}",
            "line 3: variants.a.sampling.temperature: found 3, expected less than or equal to 2",
            id="too hot",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a: {prompt: support@1.0.0, model: steady, parameters: support@1.0.0}",
            "variants.a.parameters: found 'support@1.0.0', expected one of: none yet; write them as parameters/",
            id="parameters that aren't there",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a:\n    prompt: support@1.0.0\n    model: steady\n    fallbacks: [cheap, dear]",
            "line 6: variants.a.fallbacks[1]: found 'dear', expected one of: cheap, steady",
            id="a fallback that isn't there",
        ),
        pytest.param(
            "stable: a\nvariants:\n  a:\n    prompt: support@1.0.0\n    model: steady\n    fallbacks: [steady]",
            "line 6: variants.a.fallbacks[0]: this model is asked before already; leave it out",
            id="a fallback to itself",
        ),
        pytest.param(
            "stable: a\nvariants: {}",
            "line 2: variants: found an empty mapping, expected at least one",
            id="no variants",
        ),
    ],
)
def test_a_mistake_in_variants_is_named(app_folder: Path, text: str, said: str) -> None:
    """A variants file that can't be used is named with line and key."""
    (app_folder / "variants.yaml").write_text(text)
    with pytest.raises(ModelFileError) as caught:
        read_app(app_folder)
    assert said in str(caught.value)
