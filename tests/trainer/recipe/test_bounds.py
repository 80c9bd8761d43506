"""Settings that cannot be meant are refused when the recipe is read, with their line."""

import pytest

from recipes.errors import RecipeError
from trainer.recipe.check import load_recipe


@pytest.mark.parametrize(
    "setting",
    [
        *("seed=-1", "seed=1180591620717411303424", "seed=4294967296"),
        *("sampling.temperature=.inf", "sampling.temperature=1e9", "sampling.temperature=-1"),
        *("optimizer.lr=2147483648", "optimizer.lr=-1e-5", "group_size=65536", "steps=10000000000"),
        "optimizer.lr={name: linear, start: 100.0, end: 0.0, steps: 2}",
        *("loggers=[{name: jsonl, file: ..}]", "loggers=[{name: jsonl, file: .}]"),
        *("loggers=[{name: jsonl, file: a/b}]", "loggers=[{name: jsonl, file: ''}]"),
        "engine={name: vllm_server, urls: ['http://']}",
        "engine={name: vllm_server, urls: ['http://a b']}",
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("smoke/grpo", [setting])
    assert str(caught.value).startswith("--set ")


@pytest.mark.parametrize(
    "setting",
    ["seed=4294967295", "sampling.temperature=100.0", "optimizer.lr=0.5", "group_size=65535"],
)
def test_a_setting_at_its_bound_is_accepted(setting: str) -> None:
    load_recipe("smoke/grpo", [setting])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "https://serve-1:8100/v1", "http://[::1]:80"]
)
def test_an_address_with_a_host_is_accepted(url: str) -> None:
    load_recipe("smoke/grpo", [f"engine={{name: vllm_server, urls: ['{url}']}}"])
