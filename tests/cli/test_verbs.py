"""Each verb end to end, through the real `main`, on a run of one epoch."""

import signal
import sys

import numpy as np
import pytest
from PIL import Image

from places import needs, place
from signbit import assets, data, packed, runtime
from signbit.cli.main import main
from signbit.runtime.engine import NativeEngine

FINN = "ref_finn_tfc/model.onnx"


@pytest.fixture
def file(digits_run, tmp_path, call):
    path = tmp_path / "digits.sbit"
    call("export", digits_run, path)
    return path


def test_predict_names_the_digit_of_every_shipped_sample(call):
    found = call("predict", "digits", "--top", 2)["images"]
    assert len(found) >= 3
    for image, predictions in ((entry["image"], entry["predictions"]) for entry in found):
        assert image.endswith(f"{predictions[0]['label']}.png")
        assert len(predictions) == 2


def test_predict_reads_other_images_and_formats(model, image, call):
    (found,) = call("predict", model, image)["images"]
    assert 0 < sum(p["score"] for p in found["predictions"]) <= 1 + 1e-6


def test_the_shipped_model_is_small_and_carries_its_labels():
    path = assets.model("digits")
    graph = packed.load(path)
    assert graph.labels == tuple("0123456789")
    assert path.stat().st_size < 50_000


def test_train_leaves_a_run_that_eval_reads(digits_run, call):
    found = call("eval", digits_run)
    assert found["samples"] > 300
    assert found["accuracy"] == found["correct"] / found["samples"]


def test_resume_has_nothing_left_to_do(digits_run, call):
    assert call("resume", digits_run)["metrics"]["epoch"] == 1


def test_the_packed_model_is_as_right_as_the_run(digits_run, file, call):
    assert call("eval", file, "--data", "digits")["correct"] == call("eval", digits_run)["correct"]


def test_eval_reads_a_folder_of_idx_files(file, tmp_path, call):
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("t10k", 7)):
        images = random.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = np.array([0x803, count, 8, 8], ">u4").tobytes()
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = np.array([0x801, count], ">u4").tobytes()
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    assert call("eval", file, "--data", tmp_path)["samples"] == 7
    assert call("eval", file, "--data", tmp_path, "--split", "train")["samples"] == 10


@needs(FINN)
def test_import_of_a_finn_network_that_verifies(tmp_path, call):
    pytest.importorskip("onnx")
    found = call("import", place(FINN), tmp_path / "tfc.sbit", "--labels", ",".join("0123456789"))
    assert found["binary_weights"] == found["weights"] == 59_008
    assert call("verify", tmp_path / "tfc.sbit", "--samples", 16)["passed"]
    assert call("bench", tmp_path / "tfc.sbit", "--seconds", 0.02, "--against", "float,int8")["calls"]


def test_export_says_what_the_file_holds(file, digits_run, call):
    found = call("export", digits_run, file)
    assert found["file_bytes"] == file.stat().st_size
    assert found["binary_weights"] > 0.9 * found["weights"]


def test_export_in_int8_is_smaller_and_proved(file, digits_run, tmp_path, call):
    found = call("export", digits_run, tmp_path / "int8.sbit", "--stem", "int8", "--dense", "int8")
    assert found["file_bytes"] < file.stat().st_size
    assert call("verify", tmp_path / "int8.sbit", "--run", digits_run)["passed"]


def test_summary_and_inspect_agree(file, digits_run, call):
    summary, inspected = call("summary", digits_run), call("inspect", file)
    assert (summary["nodes"], summary["totals"]) == (inspected["nodes"], inspected["totals"])


def test_verify_passes(file, digits_run, call):
    assert call("verify", file, "--samples", 16)["passed"]
    assert call("verify", file, "--run", digits_run, "--samples", 16)["torch"]["passed"]


def test_bench_times_every_batch_size(model, call):
    found = call("bench", model, "--batch", 1, 3, "--seconds", 0.02, "--isa", "reference")
    assert [entry["batch"] for entry in found["calls"]] == [1, 3]
    assert all(0 < entry["median"] <= entry["p95"] for entry in found["calls"])
    assert len(found["nodes"]) == 9
    assert found["isa"] == "reference"


def test_bench_of_a_run_compares_with_float_and_int8(digits_run, call):
    found = call("bench", digits_run, "--seconds", 0.02)
    assert [entry["engine"] for entry in found["calls"]] == ["signbit", "PyTorch fp32", "PyTorch int8"]
    assert any("equals ours" in note for note in found["notes"])


def test_bench_of_a_network_by_its_name(call):
    pytest.importorskip("onnxruntime")
    found = call("bench", "digits-cnn", "--seconds", 0.02, "--against", "float,int8,onnx")
    engines = ["signbit", "PyTorch fp32", "PyTorch int8", "ONNX Runtime int8"]
    assert [entry["engine"] for entry in found["calls"]] == engines
    assert [node["op"] for node in found["nodes"]].count("BinaryConv") == 2


def test_bench_says_which_twin_is_missing(model, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    notes = call("bench", model, "--seconds", 0.02, "--against", "onnx")["notes"]
    assert any("pip install 'signbit[onnx]'" in note for note in notes)


def test_bench_shows_the_plan(model, call):
    assert [step["name"] for step in call("bench", model, "--plan")["plan"]][-1] == "logits"


def test_doctor_finds_nothing_wrong(call):
    found = call("doctor")
    assert found["healthy"]
    assert found["isas"][-1] == "reference"


@pytest.mark.skipif(len(runtime.isas()) == 1, reason="the native extension is not built")
def test_doctor_finds_a_wrong_bit_that_leaves_the_classes_right(call, monkeypatch):
    right = NativeEngine.run

    def wrong(self, batches):
        result = right(self, batches)
        if result.dtype == np.int8:  # a node alone, or a stretch; the whole network gives floats
            result.flat[0] *= -1
        return result

    monkeypatch.setattr(NativeEngine, "run", wrong)
    found = call("doctor", code=1)
    assert not found["healthy"]
    assert found["self_test"] == f"FAILED: {runtime.isas()[0]} differs from the reference at stage0.conv.sign (Sign)"


def test_models_and_recipes_are_listed(call):
    assert any(model["name"] == "digits_cnn" for model in call("models", "digits*")["models"])
    assert {"digits", "mnist-cnn", "mnist-mlp"} <= {recipe["name"] for recipe in call("recipes")["recipes"]}
    assert call("recipes", "digits", "--optim", "bop", "--epochs", 7)["epochs"] == 7


def test_demo_of_one_epoch(tmp_path, call):
    pytest.importorskip("onnxruntime")
    found = call("demo", "--run", tmp_path / "demo", "--epochs", 1, "--seconds", 0.02)
    assert found["accuracy"]["trained"] == found["accuracy"]["packed"]
    assert found["verification"]["passed"]
    assert {(entry["batch"], entry["engine"]) for entry in found["latency"]["calls"]} == {
        (batch, engine)
        for batch in (1, 256)
        for engine in ("signbit", "PyTorch fp32", "PyTorch int8", "ONNX Runtime int8")
    }
    assert (tmp_path / "demo" / "model.sbit").exists()
    assert all(command.startswith("signbit ") for command in found["next"])


@pytest.mark.parametrize("words", ["inspect digits", "predict digits", "doctor", "recipes", "models"])
def test_the_text_is_for_people(words, capsys):
    assert main(words.split()) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert err == ""


def test_an_interrupted_training_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def stop(recipe, run, **options):
        raise training.InterruptError(f"stopped; signbit resume {run} goes on", signal.SIGTERM)

    training = pytest.importorskip("signbit.training")
    monkeypatch.setattr(training, "train", stop)
    assert main(["train", "digits", "--run", str(tmp_path / "run")]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == f"signbit: stopped; signbit resume {tmp_path / 'run'} goes on\n"


def test_eval_of_a_packed_model_on_a_folder_of_images(file, tmp_path, call):
    digits = data.load("digits", split="test").take(slice(0, 50))
    for number, (image, label) in enumerate(zip(digits.images, digits.labels)):
        for split in ("train", "test"):
            (tmp_path / split / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(tmp_path / split / str(label) / f"{number}.png")
    seen = call("eval", file, "--data", tmp_path)
    assert seen["samples"] == 50
    (tmp_path / "arrays").mkdir()
    for split in ("train", "test"):
        np.savez(tmp_path / "arrays" / f"{split}.npz", images=digits.images, labels=digits.labels)
    assert call("eval", file, "--data", tmp_path / "arrays")["correct"] == seen["correct"] > 30


def test_a_training_without_test_images_stands(tmp_path, call):
    digits = data.load("digits").take(slice(0, 200))
    np.savez(tmp_path / "train.npz", images=digits.images, labels=digits.labels)
    words = ["train", "digits", "--run", tmp_path / "run", "--epochs=1", "--data.name=npz", "--data.root", tmp_path]
    found = call(*words)
    assert found["test"] is None
    assert found["metrics"]["epoch"] == 1
