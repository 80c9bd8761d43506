"""Every family of docs/models.md is served as the page says, or refused in words."""

import asyncio
import re
from pathlib import Path

import pytest
import torch

from recipes.errors import RecipeError
from rollout.attention import ATTENTION
from rollout.engines.embedded.engine import HfEngine
from rollout.generation import EngineContext
from rollout.types import Sampling
from tests.support.engines import gap
from tests.support.families import tiny_of
from tests.support.models import Source, next_logprobs
from trainer.models.logprob_model import LogprobModel, check_logprobs
from trainer.models.served import use_packed_attention

PAGE = (Path(__file__).resolve().parents[3] / "docs/models.md").read_text(encoding="utf-8")
KINDS = ("packed", "packed, without `hf`", "padded", "refused")
TABLE = {kind: re.findall(rf"^\| {kind} \| (.*) \|$", PAGE, re.M)[0] for kind in KINDS}
ROWS = (7, 2, 13)
PROMPT = [5, 6, 7, 8, 9, 10]


def of(how):
    return [family.strip("`") for family in TABLE[how].split(", ")]


def test_the_page_names_families_of_every_kind():
    assert all(len(of(kind)) > 1 for kind in KINDS)
    every = [family for kind in KINDS for family in of(kind)]
    assert len(every) == len(set(every))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # about options of families that are long out of use
@pytest.mark.parametrize("family", [name for how in TABLE if how != "refused" for name in of(how)])
def test_a_family_that_is_served_gives_the_logprobs_of_its_own_forward_pass(family, tmp_path):
    own, model = tiny_of(family), tiny_of(family)
    use_packed_attention(model)
    scorer = LogprobModel(model)
    check_logprobs(scorer)
    packed = model.config._attn_implementation == ATTENTION
    assert packed == (family not in of("padded"))
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 40, (n,), generator=generator) for n in ROWS]
    positions = torch.cat([torch.arange(n) for n in ROWS])
    scored = positions.nonzero().squeeze(1)
    with torch.no_grad():
        found = scorer(torch.cat(rows), positions, list(ROWS), scored, 1.0)[0]
    expected = torch.cat([next_logprobs(own, row) for row in rows])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    if not packed:
        return
    if family in of("packed, without `hf`"):
        with pytest.raises(RecipeError, match="engine hf cannot decode"):
            asyncio.run(sampled(model, tmp_path))
    else:
        completions = asyncio.run(sampled(model, tmp_path))
        assert max(gap(own, PROMPT, completion) for completion in completions) < 1e-3


async def sampled(model, folder):
    context = EngineContext(folder=folder, dtype="float32", context_length=64, stop_ids=(), seed=0)
    engine = HfEngine(context, 8)
    await engine.load_weights(Source(model=model, folder=folder, shared=True), 0)
    found = await engine.generate(PROMPT, Sampling(max_tokens=9, seed=1), 2)
    await engine.close()
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", of("refused"))
def test_a_family_that_is_not_served_is_refused_in_words(family):
    model = tiny_of(family)
    use_packed_attention(model)
    with pytest.raises(RecipeError, match=rf"^model\.path: .*\(model type {family}\) cannot be"):
        check_logprobs(LogprobModel(model))
