import subprocess
import sys
from pathlib import Path

import pytest

from signbit.data import kind, load, names


def test_names_are_sorted() -> None:
    assert names() == tuple(sorted(names()))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown data set 'minst'; did you mean mnist"):
        load("minst")
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        load("digits", split="val")


def test_reading_needs_no_torch() -> None:
    code = "import sys, signbit.data; signbit.data.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folders_are_known_by_their_layout(tmp_path: Path) -> None:
    assert kind(tmp_path, "test") == "idx"
    (tmp_path / "val" / "cat").mkdir(parents=True)
    assert (kind(tmp_path, "test"), kind(tmp_path, "train")) == ("image-folder", "idx")
    (tmp_path / "train.npz").touch()
    assert kind(tmp_path, "train") == "npz"
