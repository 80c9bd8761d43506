import pytest

from rewards.verifiers.think_modes import loops
from tests.support.verifiers import broken, judge, pays

THINKS = "<think>\nTwo and two.\n</think>\n\n4"
DIRECT = "<think>\n...\n</think>\n\n4"
STARTED_IN_PROMPT = "\n</think>\n\n4"


@pytest.mark.parametrize(
    ("response", "right", "reward"),
    [
        (THINKS, True, 1), (THINKS, False, 0), (DIRECT, True, 2), (DIRECT, False, -1),
        (STARTED_IN_PROMPT, True, 2), ("</think>4", False, -1), ("Well.</think>4", True, 1),
        ("<think>4", True, 0), ("4", False, 0),
    ],
)  # fmt: skip
def test_the_papers_table(response, right, reward):
    verdict = judge("think_modes", response=response, base=pays(float(right)))
    assert (verdict.reward, verdict.correct) == (reward, right)


@pytest.mark.parametrize(
    ("response", "thinks", "closed"), [(THINKS, 1, 1), (DIRECT, 0, 1), ("4", 1, 0)]
)
def test_components_say_which_mode_it_was(response, thinks, closed):
    components = judge(
        "think_modes", response=response, base=pays(1, components={"digits": 3})
    ).components
    assert components == {"base": 1, "base/digits": 3, "thinks": thinks, "closed": closed}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ha " * 10, True),
        ("ha " * 9, False),
        ("a b c " * 10, True),
        ("a b c " * 9 + "a b", False),
        ("x" * 120, True),
        ("x" * 119, False),
        (" ".join(map(str, range(40))), False),
        ("", False),
        ("start " + " ".join(f"w{i}" for i in range(30)) + " ", False),
        ((" ".join(f"w{i}" for i in range(30)) + " ") * 10, True),
        ((" ".join(f"w{i}" for i in range(31)) + " ") * 10, False),
    ],
)
def test_a_loop_is_ten_times_the_same_stretch(text, found):
    assert loops(text) is found


def test_a_loop_makes_a_negative_reward_worse_and_no_other():
    looping = DIRECT + " ha" * 10
    assert judge("think_modes", response=looping, base=pays(0)).reward == -2
    assert judge("think_modes", response=looping, base=pays(1)).reward == 2
    assert judge("think_modes", response=THINKS + " ha" * 10, base=pays(0)).reward == 0


def test_a_missing_base_is_missing():
    assert judge("think_modes", response=THINKS, base=broken()).is_missing
