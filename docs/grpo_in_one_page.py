"""GRPO on one page: a tiny model learns to add two digits, by trying.

    python docs/grpo_in_one_page.py          # CPU, about a minute

Everything that an RL trainer for language models does is here once, in the order in which it
happens: sample a group of completions for each problem, score them, compare each score with its
group's, and raise the probability of what did better. Nothing is fast, nothing is general, and
nothing is imported from the rest of the project.

    x  a problem            y_1 .. y_G  its group of sampled completions
    r  a reward             A = (r - mean of the group) / std of the group
    pi the policy, being trained        pi_old the policy that sampled y

    loss = mean over samples, mean over a sample's tokens of
           -min( ratio * A, clip(ratio, 1 - 0.2, 1 + 0.2) * A ),   ratio = pi(token) / pi_old(token)
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

# -- the task: "3+4=" should be continued with "7" and the end token ------------------------------

ALPHABET = "0123456789+="
END = len(ALPHABET)
LARGEST_DIGIT = 4  # sums stay below ten, so an answer is one digit


def encode(text: str) -> list[int]:
    return [ALPHABET.index(character) for character in text]


def decode(tokens: Sequence[int]) -> str:
    return "".join("." if token == END else ALPHABET[token] for token in tokens)


def draw_problem(rng: random.Random) -> tuple[str, str]:
    """A prompt and the completion that is right."""
    a, b = rng.randint(0, LARGEST_DIGIT), rng.randint(0, LARGEST_DIGIT)
    return f"{a}+{b}=", f"{a + b}."


def reward(completion: Sequence[int], answer: str) -> float:
    """1 for the right digit followed by the end token, half of it for the digit alone."""
    text = decode(completion)
    return 1.0 if text == answer else 0.5 if text[:1] == answer[:1] else 0.0


# -- the policy: a language model, here with random weights ---------------------------------------


def make_model(seed: int) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(ALPHABET) + 1,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=128,
            max_position_embeddings=16,
            bos_token_id=None,
            eos_token_id=END,
        )
    )


@torch.no_grad()
def sample(model: nn.Module, prompt: Sequence[int], count: int, max_tokens: int) -> list[list[int]]:
    """`count` completions at temperature 1, each up to its end token or `max_tokens`."""
    tokens = torch.tensor([list(prompt)] * count)
    for _ in range(max_tokens):
        logits = model(input_ids=tokens).logits[:, -1]
        drawn = torch.multinomial(logits.softmax(-1), 1)
        tokens = torch.cat([tokens, drawn], dim=1)
    completions = tokens[:, len(prompt) :].tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in completions]


def completion_logprobs(model: nn.Module, sequence: Sequence[int], prompt_length: int) -> Tensor:
    """log pi of each token after the prompt, given everything before it -> [completion length]."""
    tokens = torch.tensor(list(sequence))
    logits = model(input_ids=tokens[None]).logits[0]
    logprobs = logits[:-1].float().log_softmax(-1)  # position t - 1 predicts token t
    return logprobs.gather(1, tokens[1:, None])[prompt_length - 1 :, 0]


# -- the algorithm --------------------------------------------------------------------------------


def grpo_advantages(rewards: Sequence[float], group_size: int, eps: float = 1e-6) -> Tensor:
    """Each reward's distance from the mean of its group, in the group's standard deviations."""
    grouped = torch.tensor(rewards).reshape(-1, group_size)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    return (centred / (grouped.std(dim=1, keepdim=True) + eps)).flatten()


def grpo_gradient(
    model: nn.Module,
    sequences: Sequence[Sequence[int]],
    prompt_lengths: Sequence[int],
    rewards: Sequence[float],
    group_size: int,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    old_logprobs: Sequence[Tensor] | None = None,
) -> dict[str, Tensor]:
    """The gradient of the loss by every parameter; the samples of a group stand side by side.

    old_logprobs: of each completion when it was sampled; without them the policy is the one that
        sampled, and every ratio is 1. Completions hold at least one token.
    """
    model.zero_grad()
    advantages = grpo_advantages(rewards, group_size)
    for i, (sequence, prompt_length) in enumerate(zip(sequences, prompt_lengths, strict=True)):
        logprobs = completion_logprobs(model, sequence, prompt_length)
        old = logprobs.detach() if old_logprobs is None else old_logprobs[i]
        ratio = (logprobs - old).exp()
        clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
        gain = torch.minimum(ratio * advantages[i], clipped * advantages[i])
        (-gain.mean() / len(sequences)).backward()  # sample by sample: gradients add up
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def train(steps: int = 120, problems: int = 16, group_size: int = 16, seed: int = 0) -> list[float]:
    """Train from random weights; returns the mean reward of every step."""
    rng = random.Random(seed)
    model = make_model(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    history = []
    for step in range(steps):
        sequences, prompt_lengths, rewards = [], [], []
        for _ in range(problems):
            text, answer = draw_problem(rng)
            prompt = encode(text)
            for completion in sample(model, prompt, group_size, max_tokens=3):
                sequences.append(prompt + completion)
                prompt_lengths.append(len(prompt))
                rewards.append(reward(completion, answer))
        gradient = grpo_gradient(model, sequences, prompt_lengths, rewards, group_size)
        for name, parameter in model.named_parameters():
            parameter.grad = gradient[name]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        history.append(sum(rewards) / len(rewards))
        if step % 10 == 0 or step == steps - 1:
            shown = decode(sequences[0])
            print(f"step {step:3d}   mean reward {history[-1]:.2f}   for example {shown}")
    return history


if __name__ == "__main__":
    train()
