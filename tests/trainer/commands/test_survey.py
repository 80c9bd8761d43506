"""`temper check`: every kind of recipe, the files it names, and what is left unopened."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from recipes.errors import RecipeError
from tests.support.runs import ROOT, tiny_base
from trainer.commands.survey import check_recipe
from trainer.recipe.check import load_recipe

SHIPPED = [
    *("quickstart", "quickstart_sft", "gym/spell_backward_sft", "smoke/grpo", "smoke/reward"),
    "math/gsm8k_qwen2.5_0.5b",
]
ROWS = [{"id": str(n), "question": f"{n}+{n}=", "answer": str(2 * n)} for n in range(1, 5)]


def checked(name: str | Path, *overrides: str) -> str:
    """What the command prints."""
    console = Console(file=StringIO(), width=200)
    check_recipe(str(name), overrides, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def refused(name: str | Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        checked(name, *overrides)
    return str(caught.value)


def data(folder: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def of_file(file: Path) -> str:
    return f"problems.source={{name: dataset, path: {file}, columns: {{prompt: question}}}}"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_kind_of_recipe_is_checked_as_what_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert checked(name).startswith(f"recipes/{name}.yaml: ok\n")


def test_a_suite_is_a_recipe_too() -> None:
    lines = checked(ROOT / "eval" / "suites" / "sums.yaml").splitlines()
    assert lines[0].endswith("sums.yaml: ok")
    assert "gold answers: 64 checked; all are accepted" in lines[2]


def test_training_by_a_recipe_of_another_command_names_the_command() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("quickstart_sft", [])
    assert str(caught.value).endswith(
        "quickstart_sft.yaml:5: a recipe for `temper sft`, and this is `temper train`; run temper "
        "sft, or name another recipe"
    )


def test_what_is_elsewhere_is_listed() -> None:
    lines = checked("math/gsm8k_qwen2.5_0.5b").splitlines()
    assert [line for line in lines if line.startswith("not opened: ")] == [
        "not opened: model.path: Qwen/Qwen2.5-0.5B-Instruct, a model on the hub",
        "not opened: problems: openai/gsm8k, a data set on the hub",
        "not opened: evaluate.0: openai/gsm8k, a data set on the hub",
    ]


def test_a_model_folder_that_a_run_needs_is_named_while_it_is_not_there(tmp_path: Path) -> None:
    line = checked("smoke/grpo", f"model.path={tmp_path}/base").splitlines()[-1]
    assert line.startswith(f"not opened: model.path: {tmp_path}/base is not here yet")


def test_a_model_folder_that_is_here_is_looked_into(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    assert "not opened" not in checked("smoke/grpo", f"model.path={base}")
    faults = refused("smoke/grpo", f"model.path={base}", "model.context_length=65")
    assert faults == (
        f"--set model.context_length=65: model.context_length: context_length 65 is above the 64 "
        f"positions of {base}; set it to 64 or less"
    )
    (base / "config.json").write_text("{")
    assert "cannot be read: config.json: " in refused("smoke/grpo", f"model.path={base}")
    (base / "config.json").unlink()
    assert "is not a model folder: no config.json" in refused("smoke/grpo", f"model.path={base}")


def test_a_model_without_a_chat_template_is_refused_unless_the_prompt_is_plain(
    tmp_path: Path,
) -> None:
    base = tiny_base(tmp_path / "base")
    for file in base.glob("chat_template*"):
        file.unlink()
    config = json.loads((base / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    faults = refused("smoke/grpo", f"model.path={base}")
    assert "has no chat template" in faults and "`model.plain: true`" in faults
    assert "ok" in checked("smoke/grpo", f"model.path={base}", "model.plain=true")


@pytest.mark.parametrize("name", ["smoke/grpo", "quickstart_sft"])
def test_a_model_that_is_not_a_causal_language_model_is_refused(tmp_path: Path, name: str) -> None:
    base = tiny_base(tmp_path / "base")
    setting = "model.path" if name == "smoke/grpo" else "model"
    config = json.loads((base / "config.json").read_text())
    kinds = {"is_encoder_decoder": True}, {"architectures": ["Qwen3ForTokenClassification"]}
    for kind, words in zip(kinds, ("is an encoder-decoder", "no language model head"), strict=True):
        (base / "config.json").write_text(json.dumps({**config, **kind}))
        found = refused(name, f"{setting}={base}")
        assert f"{setting}: {base} (model type qwen3)" in found and words in found
    assert "ok" in checked("smoke/reward", f"model={base}", "max_length=64")


@pytest.mark.parametrize("path", ["train.csv", "rows.jsonl", "here/rows", "a/b/c"])
def test_a_data_file_that_is_not_here_is_not_taken_for_a_hub_name(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    found = refused("smoke/grpo", of_file(Path(path)))
    assert f"problems.source.path: no file or folder '{path}'" in found
    assert found.startswith("--set problems.source={name: dataset")


def test_gold_answers_that_a_run_would_refuse_are_refused(tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "5", "question": "5+5=", "answer": "ten"}]
    options = ("verifier=numeric", "problems.gold_sample=64", of_file(data(tmp_path, rows)))
    found = refused("smoke/grpo", *options).splitlines()
    assert "problems.gold_response: 1 of 5 gold answers do not pass their own verifier" in found[0]
    assert "problem 5: the gold answer 'ten'" in found[1]
    assert "gold answers: 5 checked" in checked(
        "smoke/grpo", *options, "problems.max_gold_fail_frac=0.2"
    )


def test_a_field_inside_a_column_is_read_and_its_missing_part_named(tmp_path: Path) -> None:
    rows = [{"question": "1+1=", "meta": {"gold": "2"}}, {"question": "2+2=", "meta": {}}]
    one, both = data(tmp_path / "a", rows[:1]), data(tmp_path / "b", rows)

    def source(file: Path) -> str:
        columns = "{prompt: question, answer: meta.gold}"
        return f"problems.source={{name: dataset, path: {file}, columns: {columns}}}"

    gold = "problems.gold_sample=64"
    assert "gold answers: 1 checked; all are accepted" in checked("smoke/grpo", source(one), gold)
    found = refused("smoke/grpo", source(both))
    assert f"{both}:2: column 'meta' has no field 'gold' (fields: none)" in found


def test_the_data_of_a_suite_in_the_recipe_is_looked_at(tmp_path: Path) -> None:
    suite = f"{{suite: sums, overrides: {{problems: {{source: {{path: {tmp_path}/no.jsonl, "
    found = refused("smoke/grpo", f"evaluate=[{suite}name: dataset}}}}}}}}]")
    assert "evaluate.0.source.path: no file or folder" in found


def test_the_laptop_line_of_the_gsm8k_recipe_works_as_it_is_written(tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / "math" / "gsm8k_qwen2.5_0.5b.yaml"
    comment = " ".join(line for line in recipe.read_text().splitlines() if line[:1] == "#")
    line = comment[comment.index("--set") :].replace("#", "")
    base, rows = tiny_base(tmp_path / "base"), data(tmp_path)
    words = line.replace("=MODEL", f"={base}").replace("=ROWS.jsonl", f"={rows}").split()
    assert words[::2] == ["--set"] * 4
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 2048}))
    found = checked(recipe, *words[1::2])
    assert "gold answers: 4 checked; all are accepted" in found
    assert "not opened: problems" not in found


def test_a_plugin_is_not_run_and_named(tmp_path: Path) -> None:
    trace = tmp_path / "was_run"
    file = tmp_path / "mine.py"
    file.write_text(f"open({str(trace)!r}, 'w').close()\ndef score(response): return 1.0\n")
    entry = f"verifier={{name: plugin, function: '{file}:score'}}"
    lines = checked("smoke/grpo", entry, of_file(data(tmp_path))).splitlines()
    assert f"not opened: verifier: plugin {{function: '{file}:score'}}; no answer" in lines[-1]
    assert not trace.exists()


def test_a_cold_start_without_demonstrations_is_refused(tmp_path: Path) -> None:
    found = refused("quickstart_sft", of_file(data(tmp_path)))
    assert "demonstration: problem 1 has no demonstration in column 'solution'" in found
    assert "quickstart_sft.yaml:8: " in found


def test_pairs_of_a_reward_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b"}\n')
    found = refused("smoke/reward", f"pairs.path={tmp_path}/pairs.jsonl")
    assert "pairs.columns.rejected: " in found and "has no column 'rejected'" in found


def test_all_mistakes_of_the_files_are_listed_at_once(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    options = (f"model.path={base}", "model.context_length=65", of_file(Path("no.jsonl")))
    assert len(refused("smoke/grpo", *options).splitlines()) == 2


def test_a_sampler_that_the_problems_do_not_fit_is_refused(tmp_path: Path) -> None:
    sampler = "sampler={name: curriculum, column: none}"
    found = refused("smoke/grpo", sampler, of_file(data(tmp_path)))
    assert "sampler.column: 4 of 4 problems have no column 'none'" in found


def test_a_metric_of_no_area_is_refused() -> None:
    watch = "watch={bounds: [{metric: rewards/mean, max_rise: 1.0}]}"
    found = refused("smoke/grpo", watch)
    assert "watch.bounds.0.metric: no metric is called `rewards/mean`" in found
    assert "did you mean 'reward'?" in found


def test_a_verifier_that_needs_the_columns_of_absent_data_is_named() -> None:
    lines = checked("code/mbpp_qwen2.5_0.5b").splitlines()
    assert "not opened: problems: code_tests needs the columns of the data" in "\n".join(lines)
    assert "one sample scored" not in "\n".join(lines)
