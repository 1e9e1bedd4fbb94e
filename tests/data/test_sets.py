import subprocess
import sys

import pytest

from signbit.data import load, names


def test_names_are_sorted() -> None:
    assert names() == tuple(sorted(names()))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown data set 'minst'; nearest: mnist"):
        load("minst")
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        load("digits", split="val")


def test_reading_needs_no_torch() -> None:
    code = "import sys, signbit.data; signbit.data.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
