"""math_equal: the same mathematics, decided in a worker within the deadline."""

import asyncio
import threading

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier

pytestmark = pytest.mark.slow


def judge(answer: str, response: str, **options: object) -> Verdict:
    problem = Problem(id="p", messages=(), answer=answer)
    score = function_of(verifier.bind({"name": "math_equal", **options}))
    return asyncio.run(score(problem, response))


def test_equal_mathematics_is_correct() -> None:
    verdict = judge(r"\frac{1}{2}", r"So we get $\boxed{0.5}$.")
    assert verdict == Verdict.binary(True, reason="boxed: equal as scalar", answer="0.5")


def test_other_mathematics_is_wrong_and_says_where_the_answer_stood() -> None:
    verdict = judge("5", "The answer is 6.")
    assert verdict == Verdict.binary(False, reason="phrase: differs", answer="6")


@pytest.mark.parametrize(
    "gold", ["5", "$5$", r"\boxed{5}", "2 + 3 = 5\n#### 5", "5.", r"\text{5}", " 5 "]
)
def test_a_gold_answer_may_come_bare_or_wrapped(gold: str) -> None:
    assert judge(gold, r"\boxed{5}").correct


HARD = r"\boxed{\int \frac{\sin(\cos(\tan x))}{\ln(x^x+1)} dx}"
SLOW = r"\sum_{k=1}^{4900} \frac{1}{k^{300}}"  # a gold answer that takes minutes to read


def test_a_response_that_reaches_the_deadline_twice_is_wrong() -> None:
    verdict = judge("4", HARD, deadline_s=0.5)
    assert not verdict.is_missing
    assert not verdict.correct
    assert verdict.reason == "failed twice: no result within 0.5 s; it was stopped"
    assert judge("4", r"\boxed{4}").correct


def test_a_gold_answer_that_reaches_the_deadline_alone_leaves_the_verdict_missing() -> None:
    verdict = judge(SLOW, r"\boxed{4}", deadline_s=0.5)
    assert verdict.is_missing
    assert "the gold answer cannot be judged: no result within 0.5 s" in verdict.reason


def test_only_a_boxed_answer_counts_with_boxed_only() -> None:
    assert judge("5", r"So \boxed{5}.", boxed_only=True).correct
    assert not judge("5", "The answer is 5.", boxed_only=True).correct
    assert not judge("5", "<answer>5</answer>", boxed_only=True).correct
    with pytest.raises(RecipeError, match="leave out where and marker"):
        judge("5", "5", boxed_only=True, marker="#")


def test_it_works_off_the_main_thread() -> None:
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(judge("x^2-1", r"\boxed{(x-1)(x+1)}")))
    thread.start()
    thread.join(timeout=60)
    assert found[0].correct


HANGS = [
    r"9^{9^{9^9}}",
    r"((10^9)!)!",
    r"\sqrt{2+" * 400 + "2" + "}" * 400,
    r"(x+1)^{100000}(x+2)^{100000}",
    r"\prod_{k=1}^{5000} (x+k)",
    r"x^{57}-3x^{31}+2x^{7}-1>0",
    r"\int_0^1 \sin(\cos(\tan(x^x))) \ln(x^{x^x}+1) dx",
    "(" * 50_000 + "4" + ")" * 50_000,
    r"\text{" * 20_000,
    r"\frac{" * 30_000,
    r"\frac{1}{x+" * 400 + "1" + "}" * 400,
    "9" * 100_000,
    "a" * 100_000,
    "1+" * 50_000 + "1",
]


def test_what_hangs_ends_at_the_deadline_from_several_threads_at_once() -> None:
    found: dict[str, Verdict] = {}

    def ask(part: list[str]) -> None:
        for text in part:
            found[text] = judge("7", rf"\boxed{{{text}}}", deadline_s=0.4)

    threads = [threading.Thread(target=ask, args=(HANGS[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert found.keys() == set(HANGS)
    assert not any(verdict.correct for verdict in found.values())
    assert not any(verdict.is_missing for verdict in found.values())
    assert any("0.4 s" in verdict.reason for verdict in found.values())
    assert judge("4", r"\boxed{4}").correct


def test_an_empty_gold_answer_gives_no_verdict() -> None:
    assert judge(" ", r"\boxed{5}").is_missing


def test_the_same_question_gives_the_same_verdict() -> None:
    pairs = [(r"\sin 2x", r"\boxed{2\sin x\cos x}"), ("(-2,2)", r"\boxed{x^2<4}")]
    first = [judge(*pair) for pair in pairs]
    assert [judge(*pair) for pair in pairs] == first


def test_a_marker_says_where_the_answer_is() -> None:
    assert judge("5", "a#b#5", marker="#").correct
    assert not judge("5", "The answer is 5.", where="boxed").correct
