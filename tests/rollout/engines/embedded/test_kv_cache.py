"""The slot cache: what is written where, and what a new token sees."""

import numpy as np
import torch

from rollout.attention import Rule, causal, packing_of
from rollout.engines.embedded.kv_cache import KVRecording, SlotCache

RULE = Rule(scale=None, window=None, softcap=None, dropout=0.0)


def tokens(count, heads=2, seed=0):
    return torch.randn(count, heads, 4, generator=torch.Generator().manual_seed(seed))


def recorded(lengths, seed=0):
    """A recording of one layer, and its queries, keys and values [T, H, D]."""
    total = sum(lengths)
    query, key, value = (
        tokens(total, 4, seed),
        tokens(total, 2, seed + 1),
        tokens(total, 2, seed + 2),
    )
    recording = KVRecording(packing=packing_of(lengths))
    recording.attend(0, query, key, value, RULE)
    return recording, query, key, value


def one_more(cache, lengths, rule=RULE, seed=9):
    """Attention of one new token per slot, and the token's query, key, value."""
    count = len(lengths)
    new = tokens(count, 4, seed), tokens(count, 2, seed + 1), tokens(count, 2, seed + 2)
    layout = cache.decoding(np.array(lengths), torch.device("cpu"))
    return layout.attend(0, *new, rule), new


def whole(keys, values, new, slot, rule=RULE):
    """The same attention from scratch: the slot's sequence with the new token at its end."""
    query, key, value = (x[slot : slot + 1] for x in new)
    key, value = torch.cat([keys, key]), torch.cat([values, value])
    queries = torch.zeros(len(key), 4, 4).index_copy(0, torch.tensor([len(key) - 1]), query)
    rows = [x.transpose(0, 1)[None] for x in (queries, key, value)]
    return causal(*rows, rule)[0, :, -1]


def test_a_new_token_sees_its_own_slot_and_nothing_else():
    cache = SlotCache()
    recording, _, key, value = recorded([3, 1, 5])
    cache.fill(recording, [2, 0, 0, 1], 0)
    out, new = one_more(cache, [5, 3, 3, 1])
    for slot, span in enumerate([slice(4, 9), slice(0, 3), slice(0, 3), slice(3, 4)]):
        assert torch.allclose(out[slot], whole(key[span], value[span], new, slot), atol=1e-6)


def test_a_window_hides_what_lies_before_it():
    cache = SlotCache()
    recording, _, key, value = recorded([6, 2])
    cache.fill(recording, [0, 1], 0)
    narrow = Rule(scale=None, window=3, softcap=None, dropout=0.0)
    out, new = one_more(cache, [6, 2], narrow)
    assert torch.allclose(out[0], whole(key[:6], value[:6], new, 0, narrow), atol=1e-6)
    assert torch.allclose(out[1], whole(key[6:], value[6:], new, 1, narrow), atol=1e-6)


def test_the_cache_grows_and_keeps_what_it_holds():
    cache = SlotCache()
    short, _, key, value = recorded([4])
    cache.fill(short, [0], 0)
    cache.fill(recorded([200], seed=5)[0], [0] * 7, 1)  # more slots, and longer ones
    out, new = one_more(cache, [4, 200])
    assert torch.allclose(out[0], whole(key, value, new, 0), atol=1e-6)


def test_a_moved_slot_reads_the_same():
    cache = SlotCache()
    recording, _, key, value = recorded([3, 5])
    cache.fill(recording, [0, 1], 0)
    cache.move(np.array([1]), np.array([0]), 5)
    out, new = one_more(cache, [5])
    assert torch.allclose(out[0], whole(key[3:], value[3:], new, 0), atol=1e-6)


def test_new_tokens_stay_in_the_cache():
    cache = SlotCache()
    recording, _, key, value = recorded([2])
    cache.fill(recording, [0], 0)
    _, first = one_more(cache, [2], seed=20)
    out, second = one_more(cache, [3], seed=30)
    keys, values = torch.cat([key, first[1]]), torch.cat([value, first[2]])
    assert torch.allclose(out[0], whole(keys, values, second, 0), atol=1e-6)


def test_decoding_goes_on_where_the_cache_has_to_grow():
    cache = SlotCache()  # it grows by 64 tokens at least: from 64 to 128 in the middle of this
    recording, _, key, value = recorded([62, 60])
    cache.fill(recording, [0, 1], 0)
    seen = [(key[:62], value[:62]), (key[62:], value[62:])]
    for more in range(8):
        out, new = one_more(cache, [62 + more, 60 + more], seed=20 + more)
        for slot, (keys, values) in enumerate(seen):
            assert torch.allclose(out[slot], whole(keys, values, new, slot), atol=1e-6)
            pair = [x[slot : slot + 1] for x in new[1:]]
            seen[slot] = torch.cat([keys, pair[0]]), torch.cat([values, pair[1]])


def test_slots_and_lengths_grow_one_without_the_other():
    cache = SlotCache()
    short, _, key, value = recorded([3])
    cache.fill(short, [0], 0)
    cache.fill(short, [0] * 5, 1)  # six slots in place of one
    cache.fill(short, [0], 6)  # one more than there are
    long, _, long_key, long_value = recorded([100], seed=5)
    cache.fill(long, [0], 6)  # a longer one in the same slots
    out, new = one_more(cache, [3] * 6 + [100])
    for slot in range(6):
        assert torch.allclose(out[slot], whole(key, value, new, slot), atol=1e-6)
    assert torch.allclose(out[6], whole(long_key, long_value, new, 6), atol=1e-6)
