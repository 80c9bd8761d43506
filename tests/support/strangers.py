"""Reward functions as strangers write them, good and bad; loaded by path in tests of plug-ins."""

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
