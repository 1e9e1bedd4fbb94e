from pathlib import Path

import pytest
import torch

from signbit.training import Result, TrainingError, record_result
from signbit.training.evaluate import Evaluation
from signbit.training.metrics import Metrics
from signbit.training.run import load_run

MEASURED = Evaluation(accuracy=0.5, loss=1.0, correct=1, samples=2)


def test_the_checkpoint_keeps_the_initial_signs_one_bit_a_weight(trained: Result) -> None:
    state = torch.load(trained.path / "checkpoints" / "last.ckpt", weights_only=True)
    (monitor,) = (saved["monitor"] for saved in state["callbacks"].values() if "monitor" in saved)
    weight = state["state_dict"]["model.hidden.fc.weight"]
    signs = monitor["initial"]["hidden.fc.weight"]
    assert (signs.dtype, signs.numel()) == (torch.uint8, -(-weight.numel() // 8))


def test_a_checkpoint_of_before_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run was begun by an earlier signbit, which kept no initial signs"):
        Metrics(tmp_path / "run" / "metrics.jsonl").load_state_dict({"seconds": 1.0, "seen": None})


def test_a_result_is_kept_once_and_the_file_is_whole(trained: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    run, path = load_run(trained.path), trained.path / "results.jsonl"
    assert run.step == trained.metrics["step"]
    try:
        for images in ("test", "reserve", "test"):
            record_result(run, images, MEASURED)
        before = path.read_text()
        assert [line.split('"')[3] for line in before.splitlines()] == ["test", "reserve"]

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            record_result(run, "train", MEASURED)
        assert path.read_text() == before
        assert not list(path.parent.glob("*.partial"))
    finally:
        path.unlink()
