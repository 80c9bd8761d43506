import pytest

from recipes.errors import RecipeError
from trainer.controllers import number
from trainer.controllers.adaptive_clip import adaptive_clip

EXAMPLES = [{}, {"target": 0.1, "delta": 0.05}]


def test_widens_while_too_many_tokens_are_clipped():
    controller = adaptive_clip(target=0.02, start=0.2, low=0.19, high=0.22, delta=0.01)
    seen = []
    for share in (0.05, 0.05, 0.05, 0.02, 0.0, 0.0, 0.0, 0.0):
        controller.observe({"loss/clip_high_frac": share})
        seen.append(controller.value(0))
    assert seen == pytest.approx([0.21, 0.22, 0.22, 0.22, 0.21, 0.2, 0.19, 0.19])


def test_a_start_outside_its_bounds_is_refused():
    with pytest.raises(RecipeError, match=r"start: .* starts at 0\.9, outside of 0\.1 to 0\.4"):
        number.bind({"name": "adaptive_clip", "start": 0.9})
