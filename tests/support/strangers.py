"""Reward functions as strangers write them, good and bad; loaded by path in tests of plug-ins."""

import asyncio
import atexit
import os
import time
from dataclasses import dataclass

from rewards.types import Verdict


def equal(response, answer):
    return float(response == answer)


def of_problem(problem, response, *, bonus=0.0):
    return Verdict.scored(
        float(response == problem.columns["wanted"]) + bonus,
        correct=True,
        components={"bonus": bonus},
        answer=response,
    )


async def later(response):
    return len(response)


def trl(prompts, completions, solution, trainer_state, log_extra, log_metric, **kwargs):
    assert kwargs["wanted"] == ["x"]
    log_extra("prompt", prompts)
    log_metric("step", trainer_state.global_step / max(trainer_state.max_steps, 1))
    return [float(c == s) for c, s in zip(completions, solution, strict=True)]


async def trl_messages(prompts, completions, **kwargs):
    return [
        float(c[0]["content"] == p[-1]["content"])
        for p, c in zip(prompts, completions, strict=True)
    ]


def trl_ids(completion_ids, completions, **kwargs):
    return [float(len(ids)) for ids in completion_ids]


def only_even(completions, answer, **kwargs):
    return [
        float(c == a) if int(a) % 2 == 0 else None for c, a in zip(completions, answer, strict=True)
    ]


def only_odd(completions, answer, **kwargs):
    return [
        float(c == a) if int(a) % 2 == 1 else None for c, a in zip(completions, answer, strict=True)
    ]


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    right = solution_str == ground_truth
    return {"score": 0.5 * right, "acc": right, "pred": solution_str, "why": data_source}


@dataclass
class Counting:
    """Counts its calls; what it was made with and set up with goes into the reward."""

    step: float = 1.0
    calls: int = -1000

    def setup(self):
        self.calls = 0

    def __call__(self, problem, response):
        self.calls += 1
        return self.calls * self.step


class Unwilling:
    def setup(self):
        raise OSError("no such server")

    def __call__(self, response):
        return 1.0


class Mute:
    pass


def environment(response):
    return Verdict.binary(False, reason=" ".join(sorted(os.environ)))


def hangs(response):
    time.sleep(600)


def dies(response):
    os._exit(3)


def quits(response):
    raise SystemExit(3)


def raises(response):
    return 1 / len("")


def not_a_number(response):
    return float("nan")


def words(response):
    return "good"


def nothing(response):
    return None


def two_rewards(completions, **kwargs):
    return [1.0, 2.0]


def a_number(completions, **kwargs):
    return 1.0


def no_score(data_source, solution_str, ground_truth):
    return {"acc": 1.0}


def needs_column(completions, rubric, **kwargs):
    return [1.0]


def of_no_kind(text, gold):
    return 1.0


not_callable = 7


def shortest(responses, answer):
    """A comparison: 1 for the shortest of the group."""
    least = min(map(len, responses))
    return [float(len(response) == least) for response in responses]


def len_reward(completions, **kwargs):
    """As in open-r1: 0.5 for the shortest of the batch, -0.5 for the longest, 0 for one alone."""
    lengths = [len(completion) for completion in completions]
    low, high = min(lengths), max(lengths)
    return [0.5 - (n - low) / (high - low) if high > low else 0.0 for n in lengths]


def by_ids(completion_ids, **kwargs):
    return [float(len(ids)) for ids in completion_ids]


def only_keywords(**kwargs):
    return [float(c == a) for c, a in zip(kwargs["completions"], kwargs["answer"], strict=True)]


def punishment(longest, step):
    """Makes a reward, as TRL's get_soft_overlong_punishment does."""

    def punish(completion_ids, **kwargs):
        return [-step * max(len(ids) - longest, 0) for ids in completion_ids]

    return punish


def compute_scores(data_sources, solution_strs, ground_truths, extra_infos):
    assert len(data_sources) == len(extra_infos) == len(solution_strs)
    return [{"score": float(s == g)} for s, g in zip(solution_strs, ground_truths, strict=True)]


def extra_is_a_mapping(data_source, solution_str, ground_truth, extra_info):
    return float(extra_info.get("index", 7))


def numbers_of(data_source, solution_str, ground_truth, extra_info):
    return float(sum(ground_truth["numbers"]))


def own_names(output, reference, level):
    return float(output == reference) * level


def own_lists(outputs, reference):
    return [float(output == reference) for output in outputs]


def agreement(responses):
    """The share of the group that is equal to each response."""
    return [responses.count(response) / len(responses) for response in responses]


def uneven(responses):
    return [1.0, float("nan"), "good"][: len(responses)]


def raises_on_three(responses):
    return [1 / (3 - int(response)) for response in responses]


HERE = []


async def meets(response):
    """Comes back once eight are here, which must be under way at the same time."""
    HERE.append(response)
    while len(HERE) < 8:
        await asyncio.sleep(0.01)
    return 1.0


def says(response):
    print("\u2713 \ud800", response)
    return 1.0


EXECUTED = []


def executed(response):
    return float(len(EXECUTED))


def executed_too(response):
    return float(len(EXECUTED))


EXECUTED.append(1)


class Closing:
    """Notes how it ends."""

    def __init__(self, note):
        self.note = note
        self.words = []
        atexit.register(self._write)

    def __call__(self, response):
        return 1.0

    async def close(self):
        self.words.append("close")

    def teardown(self):
        self.words.append("teardown")

    def _write(self):
        with open(self.note, "w") as note:
            note.write(" ".join([*self.words, "atexit"]))


def leaks(response):
    return float(len(bytes(1 << 33)))


def first_of_each(responses):
    """The order decides: of equal responses the first is paid."""
    return [float(response not in responses[:i]) for i, response in enumerate(responses)]


LONGEST = {}  # by problem id


def against_the_longest(problem, response):
    """What it has seen decides: a share of the longest response so far, kept between calls."""
    LONGEST[problem.id] = max(LONGEST.get(problem.id, 0), len(response))
    return len(response) / (LONGEST[problem.id] or 1)
