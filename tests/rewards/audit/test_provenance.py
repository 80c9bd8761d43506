import pytest

from recipes.errors import RecipeError
from rewards.audit.provenance import changes, provenance_of
from rewards.verifiers import verifier

CODE = '''"""Rates."""
LIMIT = 3


def rate(response):
    """How long."""
    return float(len(response) > LIMIT)  # words
'''


def of(entry):
    return provenance_of(verifier.bind(entry))


def test_the_code_is_that_of_the_verifier_and_what_it_imports():
    code = of({"name": "ranked", "parts": {"a": "exact"}}).code
    assert "rewards/verifiers/ranked.py" in code
    assert "rewards/verifiers/exact.py" in code
    assert "rewards/composition.py" in code
    assert "rewards/answers/extract.py" in code  # imported by exact
    assert not any(file.startswith(("rewards/types", "rewards/worker")) for file in code)


def test_what_runs_in_a_worker_or_a_sandbox_counts_too():
    assert "rewards/math/verify.py" in of("math_equal").code
    assert of("math_equal").packages.keys() >= {"sympy"}
    assert any(file.startswith("rewards/sandbox/inside/") for file in of("code_tests").code)


def test_the_same_entry_has_the_same_hash_and_another_option_another():
    assert of("exact").digest == of("exact").digest
    assert of({"name": "format", "pattern": "a"}).digest != of("exact").digest
    assert (
        of({"name": "format", "pattern": "a"}).digest
        != of({"name": "format", "pattern": "b"}).digest
    )


def test_a_changed_option_is_named_with_both_values():
    old, new = (of({"name": "format", "pattern": p}).plain() for p in ("a", "b"))
    assert changes(old, old) == []
    assert changes(old, new) == ["options (pattern: 'a' before, 'b' now)"]


def plugin(folder):
    return of({"name": "plugin", "function": f"{folder}/mine.py:rate"})


@pytest.mark.slow
def test_a_plugin_is_its_file_and_those_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("LIMIT = 3\n")
    (tmp_path / "mine.py").write_text(CODE.replace("LIMIT = 3", "from beside import LIMIT"))
    before = plugin(tmp_path).plain()
    (tmp_path / "beside.py").write_text("LIMIT = 44\n")
    [found] = changes(before, plugin(tmp_path).plain())
    assert found.startswith(f"{tmp_path}/beside.py (")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# words", "# letters", True),
        ('"""How long."""', '"""How many letters."""', True),
        ("return float", "return  float", True),
        ("LIMIT = 3", "LIMIT = 4", False),
        (" > ", " >= ", False),
    ],
)
def test_only_what_code_does_counts(tmp_path, old, new, same):
    (tmp_path / "mine.py").write_text(CODE)
    before = plugin(tmp_path).digest
    (tmp_path / "mine.py").write_text(CODE.replace(old, new))
    assert (plugin(tmp_path).digest == before) is same


def test_another_version_of_a_package_is_named():
    old = {"options": {}, "code": {}, "packages": {"sympy": "1.13"}, "files": {}}
    new = {"options": {}, "code": {}, "packages": {"sympy": "1.14"}, "files": {}}
    assert changes(old, new) == ["package sympy (1.13 before, 1.14 now)"]
    assert changes(old, {**old, "packages": {}}) == ["package sympy (1.13 before, not used now)"]


@pytest.mark.slow
def test_a_plugin_that_is_gone_is_a_message(tmp_path):
    with pytest.raises(RecipeError, match="there is no file"):
        plugin(tmp_path)


ENDPOINT = {"url": "http://127.0.0.1:1/v1", "model": "m"}
LIMITS = {
    "deadline_s": 7.0,
    "attempt_s": 5.0,
    "retries": 9,
    "backoff_s": 2.0,
    "concurrent": 3,
    "requests_per_s": 4.0,
    "price_in": 1.0,
    "price_out": 2.0,
    "api_key_env": "OTHER_KEY",
}


def judged(**settings):
    return of({"name": "judge", "endpoint": {**ENDPOINT, **settings}})


@pytest.mark.parametrize("name", LIMITS)
def test_how_hard_an_endpoint_is_asked_does_not_change_its_verdicts(name):
    assert judged(**{name: LIMITS[name]}).digest == judged().digest


def test_which_model_is_asked_does():
    [found] = changes(judged().plain(), judged(model="n").plain())
    assert found == "options (endpoint.model: 'm' before, 'n' now)"
