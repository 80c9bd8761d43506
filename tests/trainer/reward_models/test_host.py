import asyncio
import json

import pytest
import torch

from recipes.errors import RecipeError
from rewards.types import Message
from tests.support.models import tiny_model
from tests.support.reward_models import reference, tiny_reward_model
from trainer.reward_models.host import (
    LocalModelSpec,
    RewardHost,
    Unscored,
    load_reward_model,
    reward_host,
)

ASKED = (Message(role="user", content="1+1="),)
RESPONSES = ["2", "3, no, 2", "a much longer answer than the others", "", "two <|end|> three"]


def scores(host, responses, **options):
    async def all_of_them():
        asked = (host.score(ASKED, response, **options) for response in responses)
        return await asyncio.gather(*asked)

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_batched_rewards_are_those_of_each_conversation_alone(tmp_path, batch_size):
    folder = tiny_reward_model(tmp_path)
    host = RewardHost(LocalModelSpec(path=str(folder), batch_size=batch_size))
    found = [scored.reward for scored in scores(host, RESPONSES)]
    # the host breaks up control tokens in a response, so the reference is asked the broken form
    plain = [r.replace("<|", "< |").replace("|>", "| >") for r in RESPONSES]
    alone = [reference(folder, "1+1=", response) for response in plain]
    assert found == pytest.approx(alone, abs=2e-4)
    assert max(found) - min(found) > 0.1  # or the comparison would show nothing


def test_concurrent_questions_share_passes(tmp_path):
    host = RewardHost(
        LocalModelSpec(path=str(tiny_reward_model(tmp_path)), batch_size=4, max_wait_s=1.0)
    )
    sizes = []
    host.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    scores(host, [str(i) for i in range(8)])
    assert sizes == [4, 4]


def test_the_head_reads_the_embedding(tmp_path):
    host = RewardHost(LocalModelSpec(path=str(tiny_reward_model(tmp_path))))
    for scored in scores(host, RESPONSES, embed=True):
        read = host.model.score(scored.embedding).detach()
        assert float(read) == pytest.approx(scored.reward, abs=1e-5)
    assert scores(host, ["2"])[0].embedding is None


def test_a_model_without_a_pad_token_is_read_at_its_last_token(tmp_path):
    folder = tiny_reward_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    with_pad = [reference(folder, "1+1=", response) for response in ("2", "30")]
    config["pad_token_id"] = None
    (folder / "config.json").write_text(json.dumps(config))
    host = RewardHost(LocalModelSpec(path=str(folder), max_wait_s=0.5))
    assert [s.reward for s in scores(host, ["2", "30"])] == pytest.approx(with_pad, abs=1e-5)


def test_what_is_too_long_is_unscored(tmp_path):
    host = RewardHost(LocalModelSpec(path=str(tiny_reward_model(tmp_path)), max_length=12))
    assert scores(host, ["2"])[0].reward  # 9 tokens
    with pytest.raises(Unscored, match="13 tokens, and the reward model reads at most 12"):
        scores(host, ["20000"])


def test_a_deadline_and_a_failing_pass_are_unscored_and_the_next_question_is_served(tmp_path):
    host = RewardHost(LocalModelSpec(path=str(tiny_reward_model(tmp_path)), deadline_s=5.0))
    before = scores(host, ["2"])[0].reward

    def fail(module, args):
        raise torch.OutOfMemoryError("no memory left")

    hook = host.model.register_forward_pre_hook(fail)
    with pytest.raises(Unscored, match="OutOfMemoryError: no memory left"):
        scores(host, ["2"])
    hook.remove()
    late = RewardHost(host.spec.model_copy(update={"deadline_s": 1e-6}))
    with pytest.raises(Unscored, match="no reward within"):
        scores(late, ["2"])
    assert scores(host, ["2"])[0].reward == before


def test_one_host_a_model(tmp_path):
    spec = LocalModelSpec(path=str(tiny_reward_model(tmp_path)))
    assert reward_host(spec) is reward_host(LocalModelSpec(path=spec.path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "gone", "no such folder here"),
        (lambda folder: tiny_reward_model(folder, labels=3), "with 3 labels"),
        (lambda folder: tiny_model(folder, "qwen3"), "is not a reward model: Qwen3ForCausalLM"),
    ],
)
def test_what_is_no_reward_model_is_refused(tmp_path, make, words):
    with pytest.raises(RecipeError, match=words):
        load_reward_model(LocalModelSpec(path=str(make(tmp_path))))


def test_a_missing_template_is_refused_unless_plain(tmp_path):
    folder = tiny_reward_model(tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(RecipeError, match="no chat template"):
        load_reward_model(LocalModelSpec(path=str(folder)))
    load_reward_model(LocalModelSpec(path=str(folder), plain=True))
