import os
from pathlib import Path

import pytest

from signbit.files import write_whole


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.sbit"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.sbit"]


def test_an_interruption_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "model.sbit", b"new")
    assert not os.listdir(tmp_path)


def test_folders_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none" / "model.sbit"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, b"new")
    assert caught.value.filename == str(path)
    assert not os.listdir(tmp_path)
