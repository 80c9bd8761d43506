"""The recipes beside those of `temper train`, and which command a recipe is for."""

import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from eval.suite import Suite
from recipes.errors import RecipeError
from recipes.loading.recipe_tree import Loaded, find, load
from recipes.loading.validate import validate
from recipes.slots.spec import JSON, Amount, Count, Seed, Spec, Tokens, Width
from rewards.types import Problem
from rollout.data.pairs import PairsSpec
from rollout.problems import ProblemsSpec
from trainer.recipe.config import Recipe, read

ALPHABET = string.digits + string.ascii_letters + string.punctuation + " \n"


class TinySpec(Spec):
    """A Qwen3 model small enough to train on a laptop core."""

    hidden: Annotated[Width, Field(description="Hidden width")] = 128
    layers: Width = 3
    heads: Width = 4
    kv_heads: Width = 2
    intermediate: Annotated[Width, Field(description="Width of the feed-forward part")] = 384
    context_length: Annotated[Tokens, Field(gt=0, description="Context length in tokens")] = 256
    alphabet: Annotated[str, Field(min_length=2, description="Characters that are tokens")] = (
        ALPHABET
    )


class SftOptimizerSpec(Spec):
    """What moves the weights in the cold start."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: Annotated[float, Field(gt=0, le=10, description="AdamW learning rate")] = 1e-5
    muon_lr: Annotated[
        float, Field(gt=0, le=10, description="Learning rate of the matrices, for muon")
    ] = 0.01


class SftRecipe(Spec):
    """A supervised cold start."""

    model: Annotated[str, Field(description="Model folder or hub name; '' with `tiny`")] = ""
    tiny: TinySpec = TinySpec()
    problems: ProblemsSpec
    demonstration: Annotated[
        str, Field(description="Column of the text to imitate; answer = the gold answer")
    ] = "solution"
    steps: Annotated[int, Field(gt=0, le=10**9)]
    batch_size: Annotated[Count, Field(gt=0, description="Number of demonstrations per step")] = 64
    optimizer: SftOptimizerSpec = SftOptimizerSpec()
    max_grad_norm: Annotated[Amount, Field(gt=0)] = 1.0
    seed: Seed = 0
    output: Annotated[str, Field(description="Output folder of the model")]

    def demonstration_of(self, problem: Problem) -> str:
        """The text to imitate. Raises RecipeError where the problem has none."""
        column = self.demonstration
        text = problem.answer if column == "answer" else problem.columns.get(column)
        if isinstance(text, str) and text:
            return text
        raise RecipeError.of(
            f"problem {problem.id} has no demonstration in column '{column}' "
            f"(columns: {', '.join(sorted(problem.columns)) or 'none'})",
            path="demonstration",
            fix="name the column that holds the text to imitate",
        )


class RewardRecipe(Spec):
    """A reward model from preference pairs."""

    model: Annotated[str, Field(description="Model folder or hub name; '' with `tiny`")] = ""
    tiny: TinySpec = TinySpec()
    pairs: PairsSpec
    steps: Annotated[int, Field(gt=0, le=10**9)]
    batch_size: Annotated[Count, Field(gt=0, description="Number of pairs per step")] = 32
    lr: Annotated[
        float, Field(gt=0, le=10, description="AdamW learning rate; decays linearly to 0")
    ] = 1e-5
    max_grad_norm: Annotated[Amount, Field(gt=0)] = 1.0
    center_coef: Annotated[
        Amount,
        Field(
            ge=0,
            description="Coefficient of (r_chosen + r_rejected)^2, which keeps the mean near 0",
        ),
    ] = 0.0
    max_length: Annotated[
        Tokens,
        Field(gt=0, description="Maximum tokens of task and response; longer pairs are left out"),
    ] = 2048
    plain: Annotated[
        bool, Field(description="Whether to skip the chat template and use the texts alone")
    ] = False
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="Dtype of the arithmetic; weights are fp32"),
    ] = "float32"
    heads: Annotated[
        Count,
        Field(description="Number of preference directions to keep for decomposed_reward"),
    ] = 0
    seed: Seed = 0
    output: Annotated[str, Field(description="Output folder of the reward model")]


AnyRecipe = Recipe | SftRecipe | RewardRecipe | Suite
KINDS: dict[str, type[AnyRecipe]] = {
    "train": Recipe,
    "sft": SftRecipe,
    "reward": RewardRecipe,
    "eval": Suite,
}
"""What each command reads."""


def command_of(tree: Mapping[str, JSON], preferred: str = "train") -> str:
    """The command that a recipe is for: the one that knows most of its settings."""

    def known(command: str) -> tuple[int, bool]:
        return len(tree.keys() & KINDS[command].model_fields.keys()), command == preferred

    return max(KINDS, key=known)


def read_as_what_it_is(loaded: Loaded) -> AnyRecipe:
    """The typed recipe of whichever kind; raises RecipeError with every fault."""
    kind = KINDS[command_of(loaded.tree)]
    return read(loaded) if kind is Recipe else validate(kind, loaded)


def load_for(command: str, name: str, overrides: Sequence[str]) -> Loaded:
    """The recipe as plain values; raises RecipeError when it is another command's."""
    loaded = load(find(name), overrides)
    found = command_of(loaded.tree, preferred=command)
    if found != command:
        raise RecipeError.of(
            f"a recipe for `temper {found}`, and this is `temper {command}`",
            where=loaded.sources[""].where,
            fix=f"run temper {found}, or name another recipe",
        )
    return loaded
