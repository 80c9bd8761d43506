"""docs/judges-and-reward-models.md lists every option of the parts that it describes."""

import re
from pathlib import Path

import pytest

from recipes.loading.recipe_tree import load
from recipes.slots.spec import Spec
from rewards.http.chat import AskSpec
from rewards.http.endpoint import EndpointSpec
from rewards.verifiers import verifier
from trainer.reward_models.host import LocalModelSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "judges-and-reward-models.md"


@pytest.mark.parametrize("spec", [EndpointSpec, AskSpec, LocalModelSpec])
def test_every_option_is_in_its_table(spec: type[Spec]) -> None:
    table = PAGE.read_text().partition(f"<!-- {spec.__name__} -->")[2].partition("\n\n")[0]
    names = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", table, re.MULTILINE)
    listed = [name for cell in names for name in re.findall(r"\w+", cell)]
    assert listed == list(spec.model_fields)


def test_the_entries_that_it_shows_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(verifier:\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        verifier.bind(load(file).tree["verifier"])
