from rewards.audit.file_hashes import hashes_of


def model_folder(folder, weights=b"w" * 100):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("about")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_model_is_its_configuration_and_its_weights(tmp_path):
    folder = model_folder(tmp_path / "model")
    before = hashes_of(str(folder))
    assert before == {
        f"{folder}/config.json": "44136fa355b3",  # sha256 of {}
        f"{folder}/model.safetensors": before[f"{folder}/model.safetensors"],
    }
    (folder / "README.md").write_text("more about")
    assert hashes_of(str(folder)) == before


def test_the_last_byte_counts_and_so_does_a_name(tmp_path):
    folder = model_folder(tmp_path / "model")
    before = hashes_of(str(folder))
    model_folder(folder, b"w" * 99 + b"x")
    after = hashes_of(str(folder))
    assert [file for file in before if before[file] != after[file]] == [
        f"{folder}/model.safetensors"
    ]
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    assert hashes_of(str(folder)).keys() != after.keys()


def test_a_file_is_itself(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("{}")
    assert list(hashes_of(str(tmp_path / "pairs.jsonl")).values()) == ["44136fa355b3"]


def test_a_model_of_the_hub_is_what_the_cache_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hashes_of("some/model") == {}
    snapshot = tmp_path / "models--some--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text("abc")
    model_folder(snapshot)
    assert len(hashes_of("some/model")) == 2


def test_what_is_not_here_has_no_hash():
    for path in ("./not/a/folder", "/nor/this", "no name/of a hub"):
        assert hashes_of(path) == {}
