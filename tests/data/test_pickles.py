import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from signbit.data import DataError
from signbit.data.pickles import read_pickle


class Hostile:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "plain").write_bytes(pickle.dumps({"a": [1, 2], b"b": b"bytes", "c": 1.5}, protocol=protocol))
    assert read_pickle(tmp_path / "plain") == {b"a": [1, 2], b"b": b"bytes", b"c": 1.5}


def test_an_array_as_python_2_wrote_it(tmp_path: Path) -> None:
    old = b"(dp0\nS'data'\np1\n"
    old += b"cnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
    old += b"(I1\n(I1\nI3\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n"
    old += b"(I3\nS'|'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x01\\x02\\xff'\np15\ntp16\nbs."
    (tmp_path / "old").write_bytes(old)
    np.testing.assert_array_equal(read_pickle(tmp_path / "old")[b"data"], [[1, 2, 255]])


@pytest.mark.parametrize(
    "value",
    [
        Hostile(os.system, "touch HACKED"),
        Hostile(eval, "1"),
        Hostile(getattr, "", "join"),
        Hostile(open, "HACKED", "w"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_is_refused_and_not_run(
    tmp_path: Path, value: Hostile, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile").write_bytes(pickle.dumps({b"data": value}, protocol=protocol))
    with pytest.raises(DataError, match=r"hostile is truncated.* \(it asks for \S+\)"):
        read_pickle(tmp_path / "hostile")
    assert [path.name for path in tmp_path.iterdir()] == ["hostile"]


WHOLE = pickle.dumps({b"data": np.arange(300, dtype=np.uint8), b"labels": list(range(9))}, protocol=2)


@pytest.mark.parametrize("length", [0, 1, 2, 50, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_cut_pickle_is_named(tmp_path: Path, length: int) -> None:
    (tmp_path / "cut").write_bytes(WHOLE[:length])
    with pytest.raises(DataError, match="cut is truncated"):
        read_pickle(tmp_path / "cut")


def test_random_damage_is_a_data_error_or_harmless(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(WHOLE)
        for place in random.integers(0, 120, 2):
            damaged[place] = random.integers(0, 256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read_pickle(tmp_path / "damaged")
        except DataError:
            continue


@pytest.mark.parametrize("value", [[1], b"text", 3])
def test_only_dictionaries(tmp_path: Path, value: object) -> None:
    (tmp_path / "other").write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match="not a dictionary"):
        read_pickle(tmp_path / "other")
