"""docs/debugging.md names metrics that docs/metrics.md explains, and settings that exist."""

import re

import pytest

from recipes.loading.validate import model_of
from recipes.slots.registry import Registry
from tests.support.runs import ROOT
from tools.docs_slots import SLOTS
from trainer.recipe.config import Recipe

TEXT = (ROOT / "docs" / "debugging.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
METRICS = sorted({word for word in CODE if re.fullmatch(r"[a-z]+/[\w<>@*]+(/[\w<>@]+)?", word)})
DOTTED = {word.split(":")[0] for word in CODE if re.match(r"[a-z_]+(\.[a-z_]+)+(:|$)", word)}
SETTINGS = sorted(word for word in DOTTED if not word.endswith((".json", ".yaml", ".png")))
AREAS = ("reward", "rollout", "ledger", "verifier", "policy", "loss", "term", "optim", "advantage",
         "correction", "probe", "sync", "time", "throughput", "progress", "eval")  # fmt: skip


def explained() -> set[str]:
    """Names in the tables of docs/metrics.md; `_max` and the like stand for a whole name."""
    found: set[str] = set()
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if line.startswith("| `"):
            names = re.findall(r"`([^`]+)`", line.split(" | ")[0])
            found |= {names[0] + n if n.startswith("_") else n for n in names}
    return found


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_explained(name: str) -> None:
    assert name.split("/")[0] in AREAS
    assert name.endswith("/*") or name in explained()


@pytest.mark.parametrize("path", SETTINGS)
def test_every_setting_exists(path: str) -> None:
    section, _, option = path.rpartition(".")
    slots: dict[str, Registry] = {slot.path: slot.registry for slot in SLOTS}
    if section in slots:
        assert any(option in entry.schema.model_fields for entry in slots[section])
    else:
        assert option in model_of(section, Recipe).model_fields


def test_the_page_names_metrics_and_settings() -> None:
    assert len(METRICS) > 35
    assert len(SETTINGS) > 8
