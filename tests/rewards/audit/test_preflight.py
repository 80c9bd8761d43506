import asyncio

import pytest

from recipes.errors import RecipeError
from rewards.audit.preflight import preflight_verifier
from rewards.types import Verdict
from tests.support.builders import problem
from tests.support.verifiers import broken, pays

PROBLEMS = [problem("p0", answer="1"), problem("p1", answer="2"), problem("p2", answer="3")]


async def only_for_two(asked, response):
    return Verdict.binary(True, reason=response) if "2" in response else Verdict.missing("not 2")


def tried(verifier, **options):
    return asyncio.run(preflight_verifier(verifier, "mine", PROBLEMS, "#{answer}", **options))


def test_gold_answers_are_asked_as_a_response_gives_them():
    verdicts = tried(only_for_two)
    assert [v.reason for v in verdicts] == ["not 2", "#2", "not 2"]


def test_a_wrong_verdict_is_a_verdict():
    assert [v.reward for v in tried(pays(0))] == [0, 0, 0]


def test_a_verifier_without_a_single_verdict_is_refused():
    with pytest.raises(RecipeError, match=r"mine could not score a single one of 3 .*: no server"):
        tried(broken("no server"))
    assert all(v.is_missing for v in tried(broken("no server"), refuse=False))
