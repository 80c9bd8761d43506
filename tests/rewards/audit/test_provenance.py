import hashlib
import json

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


def changed(saved, entry):
    found, unknown = changes(json.loads(json.dumps(saved)), verifier.bind(entry))
    assert unknown == ""
    return found


def test_the_code_is_that_of_the_verifier_and_what_it_imports():
    code = of({"name": "ranked", "components": {"a": "exact"}}).code
    assert "ranked" in code and "exact" in code
    assert "refuse_unknown_components" in code  # of composition, imported by ranked
    assert "last_boxed" in code  # of answers.extract, imported by exact
    assert not code.keys() & {"Problem", "Verdict", "Workers", "call_verifier"}  # they only carry


def test_what_runs_in_a_worker_or_a_sandbox_counts_too():
    assert "regex_found" in of({"name": "format", "pattern": "a"}).code
    assert of("math_equal").packages.keys() >= {"sympy"}
    assert "seal" in of("code_tests").code  # of a program that is started by its path


def test_the_same_entry_has_the_same_hash_and_another_option_another():
    assert of("exact").digest == of("exact").digest
    assert of({"name": "format", "pattern": "a"}).digest != of("exact").digest
    assert (
        of({"name": "format", "pattern": "a"}).digest
        != of({"name": "format", "pattern": "b"}).digest
    )


def test_a_changed_option_is_named_with_both_values():
    old, new = ({"name": "format", "pattern": pattern} for pattern in ("a", "b"))
    assert changed(of(old).plain(), old) == []
    assert changed(of(old).plain(), new) == ["option pattern ('a' before, 'b' now)"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("exact", "choice", ["option name ('exact' before, 'choice' now)"]),
        (["exact"], ["choice"], ["option components.0 ('exact' before, 'choice' now)"]),
        (["exact"], ["exact", "choice"], ["option components.1 (not set before, {'name':"]),
        ([{"name": "format", "pattern": "a"}], [{"name": "format", "pattern": "b"}],
         ["option components.0.pattern ('a' before, 'b' now)"]),
    ],
)  # fmt: skip
def test_a_changed_option_is_named_by_its_path(old, new, found):
    def entry(given):
        if isinstance(given, str):
            return given
        return {"name": "best_of", "components": {str(n): part for n, part in enumerate(given)}}

    told = [t for t in changed(of(entry(old)).plain(), entry(new)) if t.startswith("option ")]
    assert len(told) == len(found)
    assert all(line.startswith(start) for line, start in zip(told, found, strict=True))


def test_an_option_that_the_record_does_not_know_had_its_default():
    saved = of({"name": "format", "pattern": "a"}).plain()
    del saved["options"]["boxed"]
    assert changed(saved, {"name": "format", "pattern": "a"}) == []
    [told] = changed(saved, {"name": "format", "pattern": "a", "boxed": True})
    assert told.startswith("option boxed (")
    saved["options"]["colour"] = "red"
    [told] = changed(saved, {"name": "format", "pattern": "a"})
    assert told == "option colour ('red' before, it no longer exists)"


def plugin_entry(folder):
    return {"name": "plugin", "function": f"{folder}/mine.py:rate"}


def plugin(folder):
    return of(plugin_entry(folder))


@pytest.mark.slow
def test_a_plugin_is_its_file_and_those_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("LIMIT = 3\n")
    (tmp_path / "mine.py").write_text(CODE.replace("LIMIT = 3", "from beside import LIMIT"))
    before = plugin(tmp_path).plain()
    (tmp_path / "beside.py").write_text("LIMIT = 44\n")
    [found] = changed(before, plugin_entry(tmp_path))
    assert found.startswith("the code of LIMIT (")


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
    saved = of("math_equal").plain()
    saved["packages"] |= {"sympy": "1.0", "gone": "2.0"}
    now = of("math_equal").packages["sympy"]
    assert changed(saved, "math_equal") == [
        "package gone (2.0 before, not used now)",
        f"package sympy (1.0 before, {now} now)",
    ]


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
    [found] = changed(judged().plain(), {"name": "judge", "endpoint": {**ENDPOINT, "model": "n"}})
    assert found == "option endpoint.model ('m' before, 'n' now)"


# -- an older record, which names code by file -----------------------------------------------------


def older(entry, code):
    return json.loads(json.dumps(of(entry).plain() | {"code": code}))


def test_our_own_code_in_an_older_record_is_not_compared_and_that_is_said():
    saved = older("exact", {"rewards/old/place/exact.py": "1f0c00000000"})
    found, unknown = changes(saved, verifier.bind("exact"))
    assert found == []
    assert "names the code of verifiers by file" in unknown
    found, _ = changes(saved, verifier.bind("choice"))
    assert "option name ('exact' before, 'choice' now)" in found


@pytest.mark.slow
def test_a_plugin_in_an_older_record_is_compared_by_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    bare = "LIMIT = 3\n\ndef rate(response):\n    return float(len(response) > LIMIT)"
    hashed = hashlib.sha256(bare.encode()).hexdigest()[:12]  # without comments and docstrings
    saved = older(plugin_entry(tmp_path), {f"{tmp_path}/mine.py": hashed})
    found, unknown = changes(saved, verifier.bind(plugin_entry(tmp_path)))
    assert found == [] and "plug-ins are compared" in unknown
    (tmp_path / "mine.py").write_text(CODE.replace("3", "4"))
    [told], _ = changes(saved, verifier.bind(plugin_entry(tmp_path)))
    assert told.startswith(f"{tmp_path}/mine.py ({hashed} before, ")
