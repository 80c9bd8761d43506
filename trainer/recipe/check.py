"""What no single slot can know: rules across slots, one small function each, with its reason.

A rule looks at the typed recipe and yields faults. `check` lists all of them, not the first.
Nothing here loads a model or touches a GPU or the network.
"""

from collections.abc import Callable, Iterator, Sequence

from recipes.errors import Fault, RecipeError
from recipes.loading.recipe_tree import Loaded, add_locations, find, load
from recipes.slots.registry import SlotEntry, tags_of
from recipes.slots.spec import BelowGroupSize
from trainer.batch import COMPUTED_BY
from trainer.recipe.config import Recipe, read
from trainer.recipe.kinds import AnyRecipe, load_for, read_as_what_it_is

Rule = Callable[[Recipe], Iterator[Fault]]


def check(recipe: Recipe, loaded: Loaded) -> None:
    """Raise a RecipeError with every broken rule, each with file, line and remedy."""
    faults = [fault for rule in RULES for fault in rule(recipe)]
    if faults:
        raise add_locations(RecipeError(faults), loaded)


def notes(recipe: Recipe) -> Iterator[str]:
    """What is legal and may surprise, one sentence each; `check` and `explain` print them."""
    if recipe.minibatches == 1:
        for path, bound in recipe.slots.items():
            if "clip" in bound.entry.tags:
                yield (
                    f"{path}: the clip of {bound.name} cannot act with one update per step, "
                    "because every ratio is then 1; raise minibatches, or read it as the plain "
                    "policy gradient"
                )


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
            what=f"top_p is {recipe.sampling.top_p}: the engine samples a truncated distribution, "
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


def stale_samples_need_a_correction(recipe: Recipe) -> Iterator[Fault]:
    """A clip compares with the trainer's own weights; only a correction knows who sampled."""
    if recipe.max_staleness > 0 and "uncorrected" in recipe.correction.entry.tags:
        yield Fault(
            path="max_staleness",
            what=f"samples may be {recipe.max_staleness} versions old, and no correction weighs "
            "them by the policy that sampled them",
            fix="set correction: truncated_is, or max_staleness: 0",
        )


def kl_is_placed_once(recipe: Recipe) -> Iterator[Fault]:
    """KL in the reward and KL in the loss add up to a penalty nobody chose."""
    in_reward = [b.name for b in recipe.shaping if "kl" in b.entry.tags]
    in_loss = [  # a term that does not say from what is from the reference
        b.name for b in recipe.terms if "kl" in b.entry.tags and b.options.get("to", "ref") == "ref"
    ]
    if in_reward and in_loss:
        yield Fault(
            path="terms",
            what=f"KL is penalised in the reward ({in_reward[0]}) and in the loss ({in_loss[0]})",
            fix="keep one of them",
        )


def needs_are_met(recipe: Recipe) -> Iterator[Fault]:
    """A slot may only read what some part of the run computes."""
    for path, bound in recipe.slots.items():
        for need in sorted(set(bound.needs)):
            section = _section_of(need)
            if need not in COMPUTED_BY or (section and not vars(recipe)[section]):
                cure = f"add a {section}: section, or " if section else ""
                yield Fault(
                    path=path,
                    what=f"{bound.name} needs {need}, and nothing in this recipe computes it",
                    fix=f"{cure}use another function for this slot",
                )


def _section_of(need: str) -> str:
    """The optional section of the recipe that computes the field; empty where none is needed."""
    source = COMPUTED_BY.get(need, "")
    return source if source in Recipe.model_fields else ""


def a_section_is_read(recipe: Recipe) -> Iterator[Fault]:
    """A critic or a teacher that nobody asks costs a model's memory for nothing."""
    read = {need for _, bound in recipe.slots.items() for need in bound.needs}
    for section in sorted({_section_of(need) for need in COMPUTED_BY} - {""}):
        gives = {need for need in COMPUTED_BY if _section_of(need) == section}
        if vars(recipe)[section] and not gives & read:
            yield Fault(
                path=section,
                what=f"there is a {section}, and no function of this recipe reads "
                f"{' or '.join(sorted(gives))}",
                fix=f"use one that does, or set {section}: null",
            )


def a_critic_that_learns_has_a_loss(recipe: Recipe) -> Iterator[Fault]:
    """Its terms are the critic's only gradient, and its head must be what they expect."""
    critic = recipe.critic
    if critic is None:
        return
    terms = [(f"terms.{i}", b) for i, b in enumerate(recipe.terms) if "critic" in b.entry.tags]
    if critic.optimizer is not None and not terms:
        yield Fault(
            path="critic.optimizer",
            what="the critic has an optimizer, and no term trains it",
            fix="add a value_loss term, or set critic.optimizer: null for a frozen critic",
        )
    for path, bound in terms:
        if critic.optimizer is None:
            yield Fault(
                path=path,
                what=f"{bound.name} trains the critic, and the critic is frozen",
                fix="set critic.optimizer: {lr: 1e-5}, or remove the term",
            )
        classifies = "value_logits" in bound.entry.tags
        if classifies != bool(critic.bins):
            yield Fault(
                path=path,
                what=f"{bound.name} trains a critic {'of bins' if classifies else 'of one number'},"
                f" and critic.bins is {critic.bins}",
                fix="set critic.bins, for example to 51"
                if classifies
                else "use value_hl_gauss, or set critic.bins: 0",
            )
        ends = (bound.options.get("low"), bound.options.get("high"))
        if classifies and critic.bins and ends != (critic.low, critic.high):
            yield Fault(
                path=path,
                what=f"{bound.name} spreads returns over {ends}, the critic's bins over "
                f"{(critic.low, critic.high)}",
                fix="set low and high of both to the same range",
            )
    if critic.optimizer is None and critic.path is None:
        yield Fault(
            path="critic",
            what="a frozen critic initialised from the policy predicts 0 for every state",
            fix="set critic.path to a trained one, or give critic.optimizer",
        )
    if critic.pretrain_steps > recipe.steps:
        yield Fault(
            path="critic.pretrain_steps",
            what=f"{critic.pretrain_steps} steps for the critic alone, in a run of {recipe.steps}",
            fix="lower it, or raise steps; equal numbers train nothing but the critic",
        )


def one_function_has_minibatch_stats(recipe: Recipe) -> Iterator[Fault]:
    """The batch has one field for the statistics of the whole minibatch."""
    having = [(p, b.name) for p, b in recipe.slots.items() if b.entry.minibatch_stats is not None]
    if len(having) > 1:
        yield Fault(
            path=having[1][0],
            what=f"{having[0][1]} and {having[1][1]} both need statistics of the whole minibatch",
            fix="keep one of them",
        )


def other_slots_are_as_required(recipe: Recipe) -> Iterator[Fault]:
    """What a function was registered with as `requires`."""
    for path, bound in (*recipe.slots.items(), *recipe.slots.schedules()):
        for required in bound.entry.requires:
            other: SlotEntry = vars(recipe)[required.slot]
            applies = all(bound.options[name] == value for name, value in required.when.items())
            if applies and (required.tag in tags_of(other)) == required.absent:
                yield Fault(
                    path=path,
                    what=f"{bound.name} {required.why.format(name=other.name)}",
                    fix=required.fix,
                )


def options_are_below_the_group_size(recipe: Recipe) -> Iterator[Fault]:
    """A part of a group is smaller than the group."""
    for path, bound in recipe.slots.items():
        for option, field in bound.entry.schema.model_fields.items():
            value = bound.options[option]
            for mark in field.metadata:
                if isinstance(mark, BelowGroupSize) and isinstance(value, int):
                    if value < recipe.group_size:
                        continue
                    why = mark.why.format(value=value, group_size=recipe.group_size)
                    yield Fault(
                        path=f"{path}.{option}",
                        what=f"{bound.name} {why}",
                        fix=f"set {option} below group_size, or raise group_size",
                    )


def the_first_update_is_not_the_only_one(recipe: Recipe) -> Iterator[Fault]:
    """At the first update on a step's samples the policy is the old one: no distance, no pull."""
    for path, bound in recipe.slots.items():
        if "idle_on_first_update" in bound.entry.tags and recipe.minibatches < 2:
            yield Fault(
                path=path,
                what=f"{bound.name} does nothing on the first update of a step, and there is "
                "only one",
                fix="set minibatches to 2 or more",
            )


def a_sequence_counts_once(recipe: Recipe) -> Iterator[Fault]:
    """One ratio for a sequence stands on each of its tokens; a mean over tokens repeats it."""
    ratios = [(p, b) for p, b in recipe.slots.items() if "sequence_value" in b.entry.tags]
    for path, bound in ratios:
        if "mean_over_tokens" in recipe.reduction.entry.tags:
            yield Fault(
                path=path,
                what=f"{bound.name} has one value for a sample, and {recipe.reduction.name} counts "
                "it once for each of its tokens: long samples would weigh more",
                fix="set reduction: sequence_mean",
            )


def schedules_end_within_the_run(recipe: Recipe) -> Iterator[Fault]:
    """A schedule longer than the run never reaches its end value."""
    for path, bound in recipe.slots.schedules():
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
    if not isinstance(longest, SlotEntry) and longest >= recipe.model.context_length:
        yield Fault(
            path="sampling.max_tokens",
            what=f"max_tokens {longest:g} leaves no room for a prompt in context_length "
            f"{recipe.model.context_length}",
            fix="lower sampling.max_tokens or raise model.context_length",
        )


def evaluations_can_run(recipe: Recipe) -> Iterator[Fault]:
    """A suite must be known, fit the model, and have metrics of its own."""
    seen: dict[str, int] = {}
    for index, spec in enumerate(recipe.evaluate):
        path = f"evaluate.{index}"
        try:
            suite = spec.resolve()
        except RecipeError as error:
            for fault in error.faults:
                parts = (f"suite {spec.suite}", fault.path, fault.what)
                yield Fault(path=path, what=": ".join(filter(None, parts)), fix=fault.fix)
            continue
        if suite.sampling.max_tokens >= recipe.model.context_length:
            yield Fault(
                path=path,
                what=f"{suite.name} draws up to {suite.sampling.max_tokens} tokens, which leaves "
                f"no room for a prompt in context_length {recipe.model.context_length}",
                fix=f"set {path}.sampling.max_tokens lower, or raise model.context_length",
            )
        if suite.name in seen:
            yield Fault(
                path=path,
                what=f"evaluate.{seen[suite.name]} is called {suite.name} too, and their reports "
                "and metrics would overwrite each other",
                fix=f"set {path}.overrides.name to another name",
            )
        seen[suite.name] = index


def recorded_steps_have_their_weights(recipe: Recipe) -> Iterator[Fault]:
    """A recorded step is replayed from the checkpoint that it began with."""
    every, saved = recipe.record.every, recipe.checkpoint.every
    if every and (not saved or every % saved):
        yield Fault(
            path="record.every",
            what=f"steps are recorded every {every} and checkpoints are saved "
            + (f"every {saved}: some recorded steps" if saved else "at the end alone: all of them")
            + " would have no weights to be replayed from",
            fix=f"set checkpoint.every: {every}, or record.every to a multiple of it",
        )


RULES: tuple[Rule, ...] = (
    group_baseline_needs_a_group,
    nucleus_cuts_the_engine_only,
    training_samples_need_noise,
    stale_samples_need_a_correction,
    kl_is_placed_once,
    needs_are_met,
    a_section_is_read,
    a_critic_that_learns_has_a_loss,
    one_function_has_minibatch_stats,
    other_slots_are_as_required,
    options_are_below_the_group_size,
    the_first_update_is_not_the_only_one,
    a_sequence_counts_once,
    schedules_end_within_the_run,
    minibatches_fit,
    context_holds_the_completion,
    evaluations_can_run,
    recorded_steps_have_their_weights,
)


def load_recipe(name: str, overrides: Sequence[str]) -> tuple[Recipe, Loaded]:
    """The typed and cross-checked training recipe; a RecipeError lists every mistake."""
    loaded = load_for("train", name, overrides)
    recipe = read(loaded)
    check(recipe, loaded)
    return recipe, loaded


def load_any(name: str, overrides: Sequence[str]) -> tuple[AnyRecipe, Loaded]:
    """A recipe of any command as what it is; a RecipeError lists every mistake."""
    loaded = load(find(name), overrides)
    recipe = read_as_what_it_is(loaded)
    if isinstance(recipe, Recipe):
        check(recipe, loaded)
    return recipe, loaded
