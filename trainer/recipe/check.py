"""What no single slot can know: rules across slots, one small function each, with its reason.

A rule looks at the typed recipe and yields faults. `check` lists all of them, not the first.
Nothing here loads a model or touches a GPU or the network.
"""

from collections.abc import Callable, Iterator, Sequence

from recipes.errors import Fault, RecipeError
from recipes.loading.load import Loaded, add_locations, find, load
from recipes.slots.registry import SlotEntry, tags_of
from trainer.recipe.config import Recipe, read

Rule = Callable[[Recipe], Iterator[Fault]]

ALWAYS = frozenset({"old_logprobs", "ref_logprobs", "entropy", "greedy_rewards", "pass_rates"})
SECTIONS = {"values": "critic", "next_values": "critic", "teacher_logprobs": "teacher"}


def check(recipe: Recipe, loaded: Loaded) -> None:
    """Raise a RecipeError with every broken rule, each with file, line and remedy."""
    faults = [fault for rule in RULES for fault in rule(recipe)]
    if faults:
        raise add_locations(RecipeError(faults), loaded)


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


def stale_samples_need_a_correction(recipe: Recipe) -> Iterator[Fault]:
    """A clip compares with the trainer's own weights; only a correction knows who sampled."""
    if recipe.max_staleness > 0 and recipe.correction.name == "none":
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
        for need in sorted(set(bound.needs) - ALWAYS):
            section = SECTIONS.get(need)
            if section is None or section not in _sections(recipe):
                cure = f"add a {section}: section, or " if section else ""
                yield Fault(
                    path=path,
                    what=f"{bound.name} needs {need}, and nothing in this recipe computes it",
                    fix=f"{cure}use another function for this slot",
                )


def _sections(recipe: Recipe) -> list[str]:
    """The optional models that this recipe has."""
    given = {"critic": recipe.critic, "teacher": recipe.teacher}
    return [name for name, section in given.items() if section is not None]


def a_section_is_read(recipe: Recipe) -> Iterator[Fault]:
    """A critic or a teacher that nobody asks costs a model's memory for nothing."""
    read = {need for _, bound in recipe.slots.items() for need in bound.needs}
    for section in _sections(recipe):
        gives = {need for need, giver in SECTIONS.items() if giver == section}
        if not gives & read:
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
                fix="set critic.bins to 51, for one"
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
            what="a frozen critic that starts as the policy does says 0 of every state",
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


def a_draw_is_smaller_than_the_group(recipe: Recipe) -> Iterator[Fault]:
    """All of a group are one set of draws: each has the same share in its success."""
    k = recipe.advantage.options.get("k")
    if recipe.advantage.name == "pass_at_k" and isinstance(k, int) and k >= recipe.group_size:
        yield Fault(
            path="advantage.k",
            what=f"pass_at_k counts sets of {k} samples out of a group of {recipe.group_size}: "
            "there is one such set, and nothing to tell its samples apart",
            fix="set k below group_size",
        )


def a_selection_leaves_something_out(recipe: Recipe) -> Iterator[Fault]:
    """So many samples of each group are kept; a group that has no more loses none."""
    for index, bound in enumerate(recipe.selections):
        if bound.name == "max_variance" and bound.options["keep"] >= recipe.group_size:
            yield Fault(
                path=f"selections.{index}.keep",
                what=f"max_variance keeps {bound.options['keep']} samples of a group of "
                f"{recipe.group_size}: nothing is left out",
                fix="set keep below group_size, or draw more with a larger group_size",
            )


def a_correction_of_rewards_survives(recipe: Recipe) -> Iterator[Fault]:
    """Debiasing is affine in the verdict: a group's mean, and spread, take it out again."""
    for index, bound in enumerate(recipe.shaping):
        if bound.name == "debias_reward" and "group_baseline" in recipe.advantage.entry.tags:
            yield Fault(
                path=f"shaping.{index}",
                what=f"{bound.name} is cancelled by {recipe.advantage.name}: it shifts and scales "
                "all rewards alike, and the group's own mean and spread undo that",
                fix="use advantage: reinforce or minus_baseline, or leave the correction out",
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
        if recipe.reduction.name == "token_mean":
            yield Fault(
                path=path,
                what=f"{bound.name} has one value for a sample, and token_mean counts it once for "
                "each of its tokens: long samples would weigh more",
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


def error_rates_are_estimated(recipe: Recipe) -> Iterator[Fault]:
    """Only a double-checked verifier estimates its own error rates."""
    for path, bound in recipe.slots.schedules():
        if bound.name == "verifier_error_rate" and "double_checked" not in tags_of(recipe.verifier):
            yield Fault(
                path=path,
                what=f"{bound.name} estimates nothing: the verdicts of {recipe.verifier.name} are "
                "never checked again",
                fix="set verifier: {name: double_checked, first: ..., second: ...}, or set a rate",
            )


RULES: tuple[Rule, ...] = (
    group_baseline_needs_a_group,
    nucleus_cuts_the_engine_only,
    training_samples_need_noise,
    stale_samples_need_a_correction,
    kl_is_placed_once,
    terms_have_a_gradient,
    needs_are_met,
    a_section_is_read,
    a_critic_that_learns_has_a_loss,
    one_function_has_minibatch_stats,
    a_draw_is_smaller_than_the_group,
    a_selection_leaves_something_out,
    a_correction_of_rewards_survives,
    the_first_update_is_not_the_only_one,
    a_sequence_counts_once,
    schedules_end_within_the_run,
    minibatches_fit,
    context_holds_the_completion,
    evaluations_can_run,
    recorded_steps_have_their_weights,
    error_rates_are_estimated,
)


def load_recipe(name: str, overrides: Sequence[str]) -> tuple[Recipe, Loaded]:
    """The typed and cross-checked recipe; a RecipeError lists every mistake."""
    loaded = load(find(name), overrides)
    recipe = read(loaded)
    check(recipe, loaded)
    return recipe, loaded
