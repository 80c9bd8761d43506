"""The value model: where it may start from, what it says, and that a saved one is itself."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from recipes.errors import RecipeError
from tests.support.models import config
from tests.support.policies import model_folder
from trainer.models.value_model import expected_value, load_value_model, save_value_model
from trainer.ops.value_bins import bin_centres
from trainer.parallel.deepspeed import gathered as _gathered
from trainer.recipe.sections import ModelSpec, ShardingSpec

LENGTHS = [4, 7]


def whole(parameters):
    return _gathered(ShardingSpec(), parameters)


def spec(folder, **changes):
    return ModelSpec(path=str(folder), context_length=128, **changes)


def row():
    ids = torch.arange(11) + 3
    return ids, torch.cat([torch.arange(n) for n in LENGTHS]), LENGTHS


def said(model):
    with torch.no_grad():
        (outputs,) = model(*row())
    return outputs


@pytest.mark.parametrize(("outputs", "dtype"), [(1, "float32"), (5, "float32"), (1, "bfloat16")])
def test_a_language_model_gets_a_head_that_says_zero(tmp_path, outputs, dtype):
    model = load_value_model(spec(model_folder(tmp_path), dtype=dtype), outputs, whole)
    found = said(model)
    assert found.shape == (11, outputs)
    assert found.dtype == torch.float32
    assert not found.any()


def test_a_reward_model_gives_its_head(tmp_path):
    folder = model_folder(tmp_path)
    torch.manual_seed(0)
    reward = AutoModelForSequenceClassification.from_config(config("qwen3", num_labels=1)).eval()
    reward.save_pretrained(folder)
    found = said(load_value_model(spec(folder), 1, whole))
    ids, _, lengths = row()
    with torch.no_grad():
        ends = [reward(input_ids=part[None]).logits.squeeze() for part in ids.split(lengths)]
    torch.testing.assert_close(found[[3, 10], 0], torch.stack(ends), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["qwen2", "qwen3", "llama", "mistral", "gpt_neox"])
def test_a_saved_value_model_says_the_same(tmp_path, arch):
    folder = model_folder(tmp_path / "lm", arch)
    model = load_value_model(spec(folder), 3, whole)
    head = model.classifier.get_submodule(model.head_name)
    torch.nn.init.normal_(head.weight)
    torch.nn.init.normal_(head.bias)
    save_value_model(model, model.classifier.state_dict(), tmp_path / "lm")
    again = load_value_model(spec(folder), 3, whole)
    assert said(model).std() > 0.1
    torch.testing.assert_close(said(again), said(model), rtol=0, atol=0)


def test_a_head_of_another_width_is_refused(tmp_path):
    folder = model_folder(tmp_path)
    model = load_value_model(spec(folder), 3, whole)
    (folder / "model.safetensors").unlink()
    save_value_model(model, model.classifier.state_dict(), folder)
    with pytest.raises(RecipeError, match=r"critic\.path: no critic with 1 output"):
        load_value_model(spec(folder), 1, whole)


def test_a_family_without_a_token_classifier_is_refused(tmp_path):
    folder = model_folder(tmp_path, "cohere")
    with pytest.raises(RecipeError, match=r"token classifier"):
        load_value_model(spec(folder), 1, whole)


def test_bins_stand_for_the_mean_of_their_centres():
    # two bins of [0, 1]: centres 0.25 and 0.75; probabilities 1/4 and 3/4
    logits = torch.tensor([[0.0, torch.tensor(3.0).log()]])
    assert bin_centres(0, 1, 2).tolist() == [0.25, 0.75]
    torch.testing.assert_close(expected_value(logits, 0, 1), torch.tensor([0.625]))
    assert expected_value(torch.tensor([[7.0]]), 0, 1).tolist() == [7.0]
