"""Option descriptions are read alone, in `temper schema` and on the pages: full noun phrases."""

from collections.abc import Iterator

import pytest

from recipes.slots.spec import Spec
from tools.docs_slots import SLOTS
from trainer.commands.sft import SftRecipe
from trainer.recipe.config import Recipe
from trainer.reward_models.training import RewardRecipe

# Words that begin a fragment or an order, not a noun phrase.
FRAGMENTS = {
    "Of", "At", "For", "In", "On", "By", "With", "To", "From", "If", "As", "Is", "Be", "How",
    "Which", "What", "Where", "When", "Put", "Give", "Take", "Keep", "Use", "Read", "Run", "Add",
    "Added", "Laid", "Tried", "Evaluate", "Report", "Compute", "Divide", "Multiply", "Subtract",
    "Train", "No",
}  # fmt: skip


def descriptions() -> Iterator[tuple[str, str]]:
    """Every described option of a slot function, and every described setting of a section."""
    for slot in SLOTS:
        for entry in slot.registry:
            for name, option in entry.schema.model_fields.items():
                yield f"{slot.registry.slot} {entry.name}.{name}", option.description or ""
    assert all(issubclass(root, Spec) for root in (Recipe, SftRecipe, RewardRecipe))
    for section in sections(Spec):
        for name, setting in section.model_fields.items():
            if setting.description is not None:
                yield f"{section.__name__}.{name}", setting.description


def sections(base: type[Spec]) -> Iterator[type[Spec]]:
    for section in base.__subclasses__():
        if section.__module__.split(".")[0] in ("eval", "rewards", "rollout", "trainer"):
            yield section
        yield from sections(section)


def fault(description: str) -> str:
    """What keeps a description from being read alone; empty for a noun phrase."""
    words = description.split()
    if len(words) < 2:
        return "shorter than two words"
    if words[0] in FRAGMENTS:
        return f"begins with '{words[0]}'"
    return "" if description[0].isupper() else "begins with a small letter"


def test_every_option_of_a_function_is_described_by_a_noun_phrase() -> None:
    faults = [f"{name}: {fault(text)}: {text!r}" for name, text in descriptions() if fault(text)]
    assert not faults, "\n".join(["", *faults])


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "Tokens",
        "Of its weights",
        "At most; 0 = unlimited",
        "How weights travel",
        "weight dtype",
    ],
)
def test_a_fragment_is_refused(fragment: str) -> None:
    assert fault(fragment)


def test_a_noun_phrase_is_not() -> None:
    assert not fault("Maximum requests per second; 0 = unlimited")
