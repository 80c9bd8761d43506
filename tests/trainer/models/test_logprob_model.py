"""The model as the trainer calls it says what the model's own forward pass says."""

import pytest
import torch

from recipes.errors import RecipeError
from rollout.attention import ATTENTION
from tests.support.models import ARCHITECTURES, VOCABULARY, random_model
from trainer.models.logprob_model import LogprobModel, check_logprobs, logit_shape
from trainer.models.tiled_logprobs import LogitShape

LENGTHS = [5, 2, 9]


def row():
    """Three sequences end to end, and the places of the tokens that have a past."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCABULARY, (sum(LENGTHS),), generator=generator)
    positions = torch.cat([torch.arange(n) for n in LENGTHS])
    return ids, positions, positions.nonzero().squeeze(1)


def own_words(model, ids, temperature):
    """Log-prob and entropy of every token with a past, one sequence at a time, in full logits."""
    found = []
    for part in ids.split(LENGTHS):
        logits = model(input_ids=part[None], use_cache=False).logits[0, :-1]
        logs = (logits / temperature).log_softmax(dim=1)
        chosen = logs.gather(1, part[1:, None]).squeeze(1)
        found.append(torch.stack([chosen, -(logs.exp() * logs).sum(dim=1)]))
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("arch", [*ARCHITECTURES, "granite", "cohere"])
@pytest.mark.parametrize("attention", [ATTENTION, "eager"])
def test_packed_and_padded_equal_the_models_own_forward(arch, attention):
    ids, positions, scored = row()
    changes = {"logits_scaling": 4.0} if arch == "granite" else {}
    with torch.no_grad():
        expected = own_words(random_model(arch, **changes), ids, 0.7)
        scorer = LogprobModel(random_model(arch, attention=attention, **changes))
        found = torch.stack(scorer(ids, positions, LENGTHS, scored, 0.7))
    layers = scorer.causal_lm.get_decoder()
    assert layers.config._attn_implementation == attention
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_only_the_asked_tokens_are_scored_in_their_order():
    ids, positions, scored = row()
    scorer = LogprobModel(random_model("qwen3", attention=ATTENTION))
    with torch.no_grad():
        every, _ = scorer(ids, positions, LENGTHS, scored, 1.0)
        some, _ = scorer(ids, positions, LENGTHS, scored[3:6], 1.0)
    torch.testing.assert_close(every[3:6], some)


@pytest.mark.parametrize(
    ("arch", "changes", "shape"),
    [
        ("qwen3", {}, LogitShape()),
        ("gemma2", {"final_logit_softcapping": 30.0}, LogitShape(softcap=30.0)),
        ("granite", {"logits_scaling": 4.0}, LogitShape(scale=0.25)),
        ("cohere", {"logit_scale": 0.5}, LogitShape(scale=0.5)),
    ],
)
def test_shape_of_the_logits_is_read_from_the_configuration(arch, changes, shape):
    assert logit_shape(random_model(arch, **changes)) == shape


def test_model_whose_head_does_something_unknown_is_refused():
    scorer = LogprobModel(random_model("qwen3", attention=ATTENTION))
    check_logprobs(scorer)
    scorer.head.shape = LogitShape(scale=0.5)  # stands for what a model does and we do not know
    with pytest.raises(RecipeError, match=r"model\.path: Qwen3ForCausalLM .* differ from its own"):
        check_logprobs(scorer)
