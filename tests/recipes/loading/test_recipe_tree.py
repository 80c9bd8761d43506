"""From files and `--set` to one tree: who extends whom, who wins, who set what."""

from pathlib import Path

import pytest

from recipes.errors import Fault, RecipeError
from recipes.loading.recipe_tree import (
    PACKAGE,
    Loaded,
    add_locations,
    find,
    load,
    parse_overrides,
    with_source_location,
)


def write(folder: Path, **files: str) -> Path:
    """The files in `folder`, each under its keyword's name; returns `folder`."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def error_of(path: Path | str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, overrides)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, so that places are short and the same everywhere."""
    monkeypatch.chdir(tmp_path)


def test_a_recipe_is_its_file_when_it_extends_nothing(tmp_path: Path) -> None:
    write(tmp_path, a="steps: 3\noptimizer: {lr: 3e-4}\n")
    loaded = load("a.yaml")
    assert loaded.tree == {"steps": 3, "optimizer": {"lr": 0.0003}}
    assert loaded.root == tmp_path / "a.yaml"
    assert loaded.files == (tmp_path / "a.yaml",)


def test_an_empty_file_and_one_of_comments_are_empty_recipes(tmp_path: Path) -> None:
    write(tmp_path, empty="", comment="# nothing yet\n")
    assert load("empty").tree == {}
    assert load("comment").tree == {}


def test_later_fragments_win_over_earlier_and_the_recipe_over_all(tmp_path: Path) -> None:
    write(
        tmp_path,
        first="a: 1\nb: 1\nc: 1\n",
        second="b: 2\nc: 2\n",
        run="extends: [first.yaml, second.yaml]\nc: 3\n",
    )
    loaded = load("run")
    assert loaded.tree == {"a": 1, "b": 2, "c": 3}
    assert [path.name for path in loaded.files] == ["first.yaml", "second.yaml", "run.yaml"]


def test_extends_is_recursive_and_takes_one_name_without_a_list(tmp_path: Path) -> None:
    write(
        tmp_path,
        bottom="a: 1\nb: 1\n",
        middle="extends: bottom\nb: 2\n",
        top="extends: middle\n",
    )
    assert load("top").tree == {"a": 1, "b": 2}


def test_a_fragment_reached_twice_is_read_for_both(tmp_path: Path) -> None:
    write(
        tmp_path,
        base="x: 0\n",
        left="extends: base\nx: 1\n",
        right="extends: base\ny: 1\n",
        run="extends: [left, right]\n",
    )
    loaded = load("run")
    assert loaded.tree == {"x": 0, "y": 1}
    assert [path.stem for path in loaded.files] == ["base", "left", "right", "run"]


def test_fragments_come_from_the_package_first_then_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "algorithms").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "algorithms" / "grpo.yaml").write_text("nonsense: 1\n")
    (tmp_path / "mine" / "own.yaml").write_text("own: 1\n")
    (tmp_path / "mine" / "run.yaml").write_text("extends: [algorithms/grpo.yaml, own.yaml]\n")
    loaded = load("mine/run.yaml")
    assert loaded.files[0] == PACKAGE / "algorithms" / "grpo.yaml"
    assert loaded.tree["advantage"]["name"] == "grpo"
    assert loaded.tree["own"] == 1


def test_a_circle_is_an_error_that_shows_it(tmp_path: Path) -> None:
    write(tmp_path, a="extends: b\n", b="x: 1\nextends: c\n", c="extends: [a]\n")
    assert error_of("a") == (
        "c.yaml:1: extends itself: a.yaml -> b.yaml -> c.yaml -> a.yaml; take one of these out"
    )
    write(tmp_path, alone="extends: alone\n")
    assert error_of("alone") == (
        "alone.yaml:1: extends itself: alone.yaml -> alone.yaml; take one of these out"
    )


@pytest.mark.parametrize("name", ["9" * 5000, "a\\0b", "a\\nb"])
def test_a_name_that_no_file_can_have_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    write(tmp_path, run=f'steps: 1\nextends: "{name}"\n')
    assert error_of("run").startswith("run.yaml:2: no recipe file '")


def test_files_that_extend_each_other_in_a_row_have_an_end(tmp_path: Path) -> None:
    files = {f"f{n}": f"extends: f{n + 1}\n" for n in range(1200)}
    write(tmp_path, **files, f1200="steps: 1\n")
    assert load("f1181").tree == {"steps": 1}  # 20 files
    assert error_of("f0") == (
        "f19.yaml:1: 20 files extend each other in a row, and this is one more; name the files "
        "that are needed under the recipe's own extends"
    )


def test_a_file_that_is_reached_many_times_is_read_once(tmp_path: Path) -> None:
    twice = {f"d{n}": f"extends: [d{n + 1}, d{n + 1}]\n" for n in range(19)}  # 2^19 readings
    write(tmp_path, **twice, d19="steps: 1\n")
    loaded = load("d0")
    assert loaded.tree == {"steps": 1}
    assert len(loaded.files) == 20


def test_a_missing_fragment_names_the_line_and_near_files(tmp_path: Path) -> None:
    write(tmp_path, run="steps: 1\nextends: [algorithms/grop.yaml]\n", mine="x: 1\n")
    assert error_of("run").startswith(
        "run.yaml:2: no recipe file 'algorithms/grop.yaml'; did you mean 'algorithms/grpo.yaml'"
    )
    write(tmp_path, other="extends: mien\n")
    assert error_of("other") == "other.yaml:1: no recipe file 'mien'; did you mean 'mine.yaml'?"


def test_a_missing_recipe_names_near_files_or_where_to_look() -> None:
    with pytest.raises(RecipeError, match=r"^no recipe file 'quickstrat'; did you mean 'quickst"):
        find("quickstrat")
    with pytest.raises(RecipeError) as caught:
        find("zzzzzz")
    assert str(caught.value) == "no recipe file 'zzzzzz'; the shipped ones are in recipes/"


@pytest.mark.parametrize(
    "name",
    ["quickstart", "quickstart.yaml", "recipes/quickstart.yaml", PACKAGE / "quickstart.yaml"],
)
def test_shipped_recipes_are_found_from_anywhere(name: str | Path) -> None:
    assert find(name) == PACKAGE / "quickstart.yaml"


def test_a_name_with_a_dot_is_not_taken_for_a_suffix() -> None:
    assert find("models/qwen2.5_7b") == PACKAGE / "models" / "qwen2.5_7b.yaml"


def test_a_file_of_the_current_folder_wins_over_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, quickstart="steps: 1\n")
    assert find("quickstart") == tmp_path / "quickstart.yaml"


def test_papers_and_descriptions_are_kept_apart(tmp_path: Path) -> None:
    write(
        tmp_path,
        one="paper: https://a\ndescription: the fragment\nx: 1\n",
        two="paper: [https://b, https://a]\n",
        run="extends: [one, two]\npaper: https://c\ndescription: the run\n",
    )
    loaded = load("run")
    assert loaded.tree == {"x": 1}
    assert loaded.papers == ("https://a", "https://b", "https://c")
    assert loaded.description == "the run"
    assert load("two").description == ""


def test_a_paper_must_be_text(tmp_path: Path) -> None:
    write(tmp_path, run="x: 1\npaper: 2402.03300\n")
    assert error_of("run") == (
        "run.yaml:2: paper: expected text or a list of texts, got 2402.033; "
        "write `paper: ...` in quotes"
    )


def test_a_file_that_is_a_list_is_refused(tmp_path: Path) -> None:
    write(tmp_path, run="# comment\n- 1\n")
    assert error_of("run") == (
        "run.yaml:2: a recipe is `key: value` lines, this is [1]; start with `extends:` or a "
        "setting"
    )


def test_a_file_that_is_not_utf8_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"a: \xff\n")
    assert error_of("bad").startswith("bad.yaml: cannot be read: 'utf-8' codec can't decode")
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load("bom").tree == {"a": 1}


# -- who set what --------------------------------------------------------------------------------


def layered(tmp_path: Path, *overrides: str) -> Loaded:
    write(
        tmp_path,
        base="advantage:\n  name: grpo\n  eps: 1e-6\nterms:\n  - {name: kl_k3, coef: 0.01}\n",
        run="extends: base\nadvantage: {std_normalize: false}\nsteps: 3\n",
    )
    return load("run", overrides)


@pytest.mark.parametrize(
    ("path", "where", "line", "kind"),
    [
        ("advantage", "base.yaml:1", 1, "fragment"),
        ("advantage.name", "base.yaml:2", 2, "fragment"),
        ("advantage.eps", "base.yaml:3", 3, "fragment"),
        ("advantage.std_normalize", "run.yaml:2", 2, "recipe"),
        ("steps", "run.yaml:3", 3, "recipe"),
        ("terms.0", "base.yaml:5", 5, "fragment"),
        ("terms.0.coef", "--set terms.0.coef=0.1", 0, "command line"),
        ("terms.0.to", "default", 0, "default"),
        ("seed", "default", 0, "default"),
    ],
)
def test_every_value_knows_who_set_it(
    tmp_path: Path, path: str, where: str, line: int, kind: str
) -> None:
    source = layered(tmp_path, "terms.0.coef=0.1").source(path)
    assert (source.where, source.line, source.kind) == (where, line, kind)


def test_a_replaced_entry_leaves_no_trace_of_the_options_below(tmp_path: Path) -> None:
    loaded = layered(tmp_path, "advantage=rloo")
    assert loaded.tree["advantage"] == "rloo"
    assert loaded.source("advantage.eps").kind == "default"


# -- the command line ----------------------------------------------------------------------------


LONG = "1" * 5000
BASE = """\
steps: 2
advantage: grpo
loss: {name: ppo_clip, clip_low: 0.2}
optimizer: {lr: 1e-5}
terms: [{name: kl_k3, coef: 0.01}, entropy_bonus]
filters: []
"""


def overridden(tmp_path: Path, *overrides: str) -> dict[str, object]:
    write(tmp_path, base=BASE)
    return load("base", overrides).tree


@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        (["steps=7"], "steps", 7),
        (["optimizer.lr=3e-4"], "optimizer", {"lr": 0.0003}),
        (["optimizer.name=adam"], "optimizer", {"lr": 0.00001, "name": "adam"}),
        (["new.deep.key=x"], "new", {"deep": {"key": "x"}}),
        (["output=a=b"], "output", "a=b"),
        (["output='on'"], "output", "on"),
        (["output=on"], "output", "on"),
        (["output="], "output", None),
        (["advantage.std_normalize=false"], "advantage", {"name": "grpo", "std_normalize": False}),
        (["advantage=rloo"], "advantage", "rloo"),
        (["loss.name=gspo"], "loss", {"name": "gspo"}),
        (["loss.name=ppo_clip"], "loss", {"name": "ppo_clip"}),
        (["loss={name: ppo_clip, dual_clip: 3}"], "loss", {"name": "ppo_clip", "dual_clip": 3}),
        (["loss={dual_clip: 3}"], "loss", {"name": "ppo_clip", "clip_low": 0.2, "dual_clip": 3}),
        (["loss.clip_low=null"], "loss", {"name": "ppo_clip"}),
        (["optimizer.lr=null"], "optimizer", {}),
        (["optimizer.lr.name=linear", "optimizer.lr.end=0"], "optimizer",
         {"lr": {"name": "linear", "end": 0}}),
        (["terms.0.coef=0.1"], "terms", [{"name": "kl_k3", "coef": 0.1}, "entropy_bonus"]),
        (["terms.1.coef=0.1"], "terms",
         [{"name": "kl_k3", "coef": 0.01}, {"name": "entropy_bonus", "coef": 0.1}]),
        (["terms.1=kl_k2"], "terms", [{"name": "kl_k3", "coef": 0.01}, "kl_k2"]),
        (["terms=[]"], "terms", []),
        (["steps=3", "steps=4"], "steps", 4),
    ],
)  # fmt: skip
def test_the_command_line_wins(
    tmp_path: Path, overrides: list[str], key: str, expected: object
) -> None:
    before = overridden(tmp_path)
    after = overridden(tmp_path, *overrides)
    assert after[key] == expected
    assert {k: v for k, v in after.items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "--set: 'steps' is not `path=value`; write --set optimizer.lr=1e-5"),
        ("=3", "--set: '=3' is not `path=value`; write --set optimizer.lr=1e-5"),
        ("a..b=3", "--set: 'a..b=3' is not `path=value`; write --set optimizer.lr=1e-5"),
        ("extends=a", "--set extends=a: 'extends' is not a setting; write it into a recipe file"),
        ("a=[1", "--set a=[1: not strict YAML: expected ',' or ']', but got '<stream end>'; "
         "close the bracket or the quote"),
        ("terms.2=x", "--set terms.2=x: terms is a list without an item '2'; its items are 0 to 1; "
         "set the whole list to make it longer"),
        ("terms.x=1", "--set terms.x=1: terms is a list without an item 'x'; its items are 0 to 1; "
         "set the whole list to make it longer"),
        ("filters.0=x", "--set filters.0=x: filters is a list without an item '0'; it is empty; "
         "set the whole list to make it longer"),
        ("masks.0=x", "--set masks.0=x: masks is not a list; leave the number out"),
        ("terms.²=x", "--set terms.²=x: terms is a list without an item '²'; its items are 0 to 1; "
         "set the whole list to make it longer"),
        (f"terms.{LONG}=x", f"--set terms.{LONG[:188]}...: terms is a list without an item "
         f"'{LONG[:200]}...'; its items are 0 to 1; set the whole list to make it longer"),
        (f"{'a.' * 400}a=1", f"--set {'a.' * 97}...: a path of 401 keys; write at most 40"),
        ("optimizer.lr.start=1", "--set optimizer.lr.start=1: optimizer.lr is 1e-05, which has no "
         "options; first set optimizer.lr.name, or set the whole entry"),
    ],
)  # fmt: skip
def test_an_override_that_cannot_work_says_why(tmp_path: Path, override: str, message: str) -> None:
    write(tmp_path, base=BASE)
    assert error_of("base", override) == message


def test_overrides_alone_make_a_tree_of_their_own() -> None:
    settings = parse_overrides(["samples=8", "sampling.temperature=0.5", "sampling.top_p=1"])
    assert settings == {"samples": 8, "sampling": {"temperature": 0.5, "top_p": 1}}
    assert parse_overrides([]) == {}


# -- places of faults ----------------------------------------------------------------------------


def attached(loaded: Loaded, fault: Fault, prefix: str = "") -> str:
    return str(add_locations(RecipeError([fault]), loaded, prefix))


@pytest.mark.parametrize(
    ("path", "prefix", "place"),
    [
        ("steps", "", "run.yaml:3: steps"),
        ("std_normalize", "advantage", "run.yaml:2: advantage.std_normalize"),
        ("missing", "advantage", "base.yaml:1: advantage.missing"),
        ("coef.start", "terms.0", "--set terms.0.coef=1: terms.0.coef.start"),
        ("", "advantage", "base.yaml:1: advantage"),
        ("seed", "", "run.yaml:1: seed"),
        ("", "", "run.yaml:1"),
    ],
)
def test_a_fault_gets_the_place_of_the_nearest_setting(
    tmp_path: Path, path: str, prefix: str, place: str
) -> None:
    loaded = layered(tmp_path, "terms.0.coef=1")
    assert attached(loaded, Fault(path=path, what="wrong"), prefix) == f"{place}: wrong"


def test_a_fault_that_has_a_place_keeps_it(tmp_path: Path) -> None:
    fault = Fault(where="data.jsonl:3", path="id", what="wrong")
    assert attached(layered(tmp_path), fault, "problems") == "data.jsonl:3: id: wrong"


def test_all_faults_are_attached_in_their_order(tmp_path: Path) -> None:
    error = RecipeError([Fault(path="steps", what="one"), Fault(path="terms.0", what="two")])
    assert str(add_locations(error, layered(tmp_path))) == (
        "run.yaml:3: steps: one\nbase.yaml:5: terms.0: two"
    )


@pytest.mark.parametrize("name", ["grpo.yml", "gone/grpo", "."])
def test_a_recipe_that_is_not_where_its_whole_path_says_is_a_message(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "grpo.yaml").write_text("steps: 1\n")
    with pytest.raises(RecipeError, match="no recipe file"):
        load(tmp_path / name)


def test_a_fault_of_a_section_gets_the_line_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("steps: 1\nproblems:\n  source: {path: gone}\n")
    loaded = load(tmp_path / "run.yaml")
    expected = r"run\.yaml:3: problems\.source\.path: no file"
    with pytest.raises(RecipeError, match=expected), with_source_location(loaded, "problems"):
        raise RecipeError.of("no file", path="source.path")
    expected = r"^rows\.jsonl:2: no answer"
    with pytest.raises(RecipeError, match=expected), with_source_location(loaded, "problems"):
        raise RecipeError.of("no answer", where="rows.jsonl:2")
    with (
        pytest.raises(RecipeError, match=r"^and 3 more faults$"),
        with_source_location(loaded, "problems"),
    ):
        raise RecipeError.of("and 3 more faults")
