"""Suite: problems, verifier and sampling under a name and a version; shipped ones are YAML files.

    load_suite("gsm8k")                                  shipped, from eval/suites/
    load_suite("mine.yaml", {"samples": 8})              a file of yours, one value replaced

A number is comparable only within one version of a suite: the version changes whenever problems,
prompt, verifier or sampling change in a way that moves results.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import load
from recipes.loading.validate import validate
from recipes.slots.registry import SlotEntry, choose_from
from recipes.slots.spec import JSON, Count, Seed, Spec, Tokens
from rewards.verifiers import verifier
from rollout.environments import environment
from rollout.problems import ProblemsSpec

SHIPPED = Path(__file__).parent / "suites"
EnvironmentField = Annotated[
    SlotEntry, environment.nested
]  # the field below has the slot's own name


class SuiteSampling(Spec):
    """How answers are drawn for evaluation; independent of the training's settings."""

    max_tokens: Annotated[
        Tokens, Field(gt=0, description="Maximum number of new tokens per answer")
    ]
    temperature: Annotated[
        float, Field(ge=0, le=100, description="Softmax temperature; 0 = greedy decoding")
    ] = 1.0
    top_p: Annotated[
        float,
        Field(
            gt=0, le=1, description="Nucleus (top-p) share of the probability mass; 1 = all tokens"
        ),
    ] = 1.0
    stop: Annotated[list[str], Field(description="Strings that end an answer")] = []


class Suite(Spec):
    """A benchmark that gives the same number to whoever runs it."""

    name: Annotated[str, Field(pattern=r"^[\w.+-]+$", description="Name in metric names")]
    version: Annotated[
        Count, Field(gt=0, description="Version, raised whenever results would change")
    ]
    problems: ProblemsSpec
    verifier: Annotated[SlotEntry, verifier.nested]
    environment: EnvironmentField = Field(default_factory=lambda: environment.bind("single_turn"))
    sampling: SuiteSampling
    samples: Annotated[Count, Field(gt=0, description="Number of answers per problem")]
    k: Annotated[
        list[Count], Field(min_length=1, description="Values of k for pass@k and maj@k")
    ] = [1]
    majority: Annotated[
        bool,
        Field(description="Whether to report maj@k; false where answers are programs or prose"),
    ] = True
    seed: Annotated[Seed, Field(description="Seed of the sampling and of the intervals")] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.k) < 1 or max(self.k) > self.samples:
            raise RecipeError.of(
                f"pass@{max(self.k)} cannot be estimated from {self.samples} samples a problem",
                path="k",
                fix=f"let every k be between 1 and samples ({self.samples})",
            )
        if self.sampling.temperature == 0 and self.samples > 1:
            raise RecipeError.of(
                f"at temperature 0 all {self.samples} samples of a problem are the same",
                path="samples",
                fix="set samples: 1 and k: [1], or a temperature above 0",
            )
        return self

    @property
    def settings(self) -> dict[str, JSON]:
        """The suite as plain JSON, every default written out."""
        return self.model_dump(mode="json")


def suite_names() -> tuple[str, ...]:
    """The shipped suites."""
    return tuple(sorted(file.stem for file in SHIPPED.glob("*.yaml")))


def load_suite(name: str, changes: Mapping[str, JSON] | None = None) -> Suite:
    """The suite called `name`, or in the YAML file `name`; `changes` are laid over it.

    changes: a tree, `{"sampling": {"max_tokens": 64}}`. A `problems.source.path` of your own comes
    with columns called prompt, answer and id: split, subset and columns of the suite belong to the
    data that it names, and go with it. Raises RecipeError with every fault.
    """
    changes = changes or {}
    shipped, own = SHIPPED / f"{name}.yaml", Path(name)
    if not own.is_file():
        own = Path(f"{name}.yaml")
    if not shipped.is_file() and not own.is_file():
        names = suite_names()
        raise RecipeError.of(
            f"no suite called '{name}', and no such file",
            fix=f"{choose_from(names, name, label='shipped')}; or give the name of a YAML file",
        )
    file = shipped if shipped.is_file() else own.resolve()
    loaded = load(file, [f"{path}={json.dumps(value)}" for path, value in _leaves(changes)])
    problems = changes.get("problems")
    source = problems.get("source") if isinstance(problems, dict) else None
    if isinstance(source, dict) and "path" in source:
        # Nothing is left of the suite's own source but the name.
        kept = {"name": loaded.tree["problems"]["source"]["name"]}
        replaced = {**loaded.tree["problems"], "source": {**kept, **source}}
        loaded = replace(loaded, tree={**loaded.tree, "problems": replaced})
    return validate(Suite, loaded)


def _leaves(tree: Mapping[str, JSON], above: str = "") -> Iterator[tuple[str, JSON]]:
    """Dotted path and value of everything below that is not itself a filled mapping.

    A `name` comes before its options: a slot entry that is renamed loses those it had.
    """
    for key, value in sorted(tree.items(), key=lambda item: item[0] != "name"):
        path = f"{above}.{key}" if above else key
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path, value
