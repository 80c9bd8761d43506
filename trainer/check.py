"""What no single slot can know: rules across slots, one small function each, with its reason.

A rule looks at the typed recipe and yields faults. `check` lists all of them, not the first.
Nothing here loads a model or touches a GPU or the network.
"""

from collections.abc import Callable, Iterator

from recipes.errors import Fault, RecipeError
from recipes.load import Loaded, attach
from recipes.registry import Bound
from trainer.config import Recipe

Rule = Callable[[Recipe], Iterator[Fault]]

PROVIDED = frozenset({"old_logprobs", "ref_logprobs", "entropy", "greedy_rewards", "pass_rates"})


def check(recipe: Recipe, loaded: Loaded) -> None:
    """Raise a RecipeError with every broken rule, each with file, line and remedy."""
    faults = [fault for rule in RULES for fault in rule(recipe)]
    if faults:
        raise attach(RecipeError(faults), loaded)


def group_baseline_needs_a_group(recipe: Recipe) -> Iterator[Fault]:
    """The baseline is the other samples of the group: with one sample there is no signal."""
    if "group_baseline" in recipe.advantage.entry.tags and recipe.group_size < 2:
        yield Fault(
            path="group_size",
            what=f"{recipe.advantage.name} compares the samples of a group, and group_size is 1",
            fix="set group_size to 2 or more, or use an advantage with another baseline",
        )


def nucleus_cuts_the_engine_only(recipe: Recipe) -> Iterator[Fault]:
    """The engine would sample from a cut distribution, and every ratio would be wrong."""
    if recipe.sampling.top_p < 1:
        yield Fault(
            path="sampling.top_p",
            what=f"top_p is {recipe.sampling.top_p}: the engine samples from a cut distribution, "
            "the trainer's log-probs are of the whole one",
            fix="set top_p: 1 for training; evaluation has its own sampling settings",
        )


def training_samples_need_noise(recipe: Recipe) -> Iterator[Fault]:
    """Greedy samples of one problem are all the same."""
    if recipe.sampling.temperature == 0:
        yield Fault(
            path="sampling.temperature",
            what="temperature 0 draws the same completion for every sample of a group",
            fix="set it above 0, usually 1.0",
        )


def stale_samples_need_a_ratio(recipe: Recipe) -> Iterator[Fault]:
    """A sample of an older policy is off-policy data; something must weigh or clip it."""
    if (
        recipe.max_staleness > 0
        and recipe.correction.name == "none"
        and "old_logprobs" not in recipe.loss.entry.needs
    ):
        yield Fault(
            path="max_staleness",
            what=f"samples may be {recipe.max_staleness} versions old, and neither a correction "
            f"nor the loss {recipe.loss.name} accounts for it",
            fix="set correction: truncated_is, or max_staleness: 0",
        )


def kl_is_placed_once(recipe: Recipe) -> Iterator[Fault]:
    """KL in the reward and KL in the loss add up to a penalty nobody chose."""
    in_reward = [b.name for b in recipe.shaping if "kl" in b.entry.tags]
    in_loss = [
        b.name for b in recipe.terms if "kl" in b.entry.tags and b.options.get("to") == "ref"
    ]
    if in_reward and in_loss:
        yield Fault(
            path="terms",
            what=f"KL is penalised in the reward ({in_reward[0]}) and in the loss ({in_loss[0]})",
            fix="keep one of them",
        )


def terms_have_a_gradient(recipe: Recipe) -> Iterator[Fault]:
    """On the policy's own samples the expected gradient of the k1 estimator is zero."""
    for index, bound in enumerate(recipe.terms):
        if "zero_gradient" in bound.entry.tags:
            yield Fault(
                path=f"terms.{index}",
                what=f"{bound.name} in the loss has an expected gradient of zero, and adds noise",
                fix="use kl_k2 (reverse KL) or kl_k3 (forward KL) in the loss, "
                "or a k1 penalty in the reward",
            )


def needs_are_met(recipe: Recipe) -> Iterator[Fault]:
    """A slot may only read what some part of the run computes."""
    for path, bound in recipe.slots.items():
        for need in sorted(set(bound.entry.needs) - PROVIDED):
            yield Fault(
                path=path,
                what=f"{bound.name} needs {need}, and nothing in this recipe computes it",
                fix="use another function for this slot",
            )


def one_function_looks_first(recipe: Recipe) -> Iterator[Fault]:
    """The batch has one place for what a function learned of the whole minibatch."""
    looks = [(path, b.name) for path, b in recipe.slots.items() if b.entry.prepare is not None]
    if len(looks) > 1:
        yield Fault(
            path=looks[1][0],
            what=f"{looks[0][1]} and {looks[1][1]} both look at the whole minibatch first",
            fix="keep one of them",
        )


def schedules_end_within_the_run(recipe: Recipe) -> Iterator[Fault]:
    """A schedule longer than the run never reaches its end value."""
    for path, bound in numbers_of(recipe):
        steps = bound.options.get("steps")
        if isinstance(steps, int) and steps > recipe.steps:
            yield Fault(
                path=path,
                what=f"the schedule {bound.name} takes {steps} steps, the run has {recipe.steps}",
                fix="shorten the schedule or lengthen the run",
            )


def minibatches_fit(recipe: Recipe) -> Iterator[Fault]:
    """A minibatch is made of whole groups."""
    if recipe.minibatches > recipe.groups_per_step:
        yield Fault(
            path="minibatches",
            what=f"{recipe.minibatches} minibatches of {recipe.groups_per_step} groups: "
            "a minibatch holds whole groups",
            fix="set minibatches to at most groups_per_step",
        )


def context_holds_the_completion(recipe: Recipe) -> Iterator[Fault]:
    """The longest completion must fit behind a prompt."""
    longest = recipe.sampling.max_tokens
    if not isinstance(longest, Bound) and longest >= recipe.model.context_length:
        yield Fault(
            path="sampling.max_tokens",
            what=f"max_tokens {longest:g} leaves no room for a prompt in context_length "
            f"{recipe.model.context_length}",
            fix="lower sampling.max_tokens or raise model.context_length",
        )


def numbers_of(recipe: Recipe) -> Iterator[tuple[str, Bound]]:
    """Every schedule or controller in the recipe, with its path."""
    for path, value in recipe.slots.numbers.items():
        if isinstance(value, Bound):
            yield path, value
    for path, bound in recipe.slots.items():
        for option, value in bound.options.items():
            if isinstance(value, Bound) and (option in bound.entry.numbers or option == "coef"):
                yield f"{path}.{option}", value


RULES: tuple[Rule, ...] = (
    group_baseline_needs_a_group,
    nucleus_cuts_the_engine_only,
    training_samples_need_noise,
    stale_samples_need_a_ratio,
    kl_is_placed_once,
    terms_have_a_gradient,
    needs_are_met,
    one_function_looks_first,
    schedules_end_within_the_run,
    minibatches_fit,
    context_holds_the_completion,
)
