import sys
from subprocess import run
from typing import Literal

import pytest

from signbit.wording import check_choice, unknown


def test_a_wrong_name_is_answered_with_the_nearest_or_with_all() -> None:
    assert unknown("fruit", "aple", ["apples", "fig", "maple"]) == "unknown fruit 'aple'; did you mean maple or apples?"
    assert unknown("fruit", "x", iter(["pear", "apple"])) == "unknown fruit 'x'; known: pear, apple"
    assert unknown("fruit", "x", []) == "unknown fruit 'x'; known: none"


def test_a_choice_is_one_of_a_literal_or_a_tuple() -> None:
    for allowed in (Literal["warm", "cold"], ("warm", "cold")):
        check_choice("air", "cold", allowed)
        with pytest.raises(ValueError, match=r"^air must be one of warm, cold, got 'cool'$"):
            check_choice("air", "cool", allowed)


def test_it_stands_below_everything() -> None:
    code = "import sys, signbit.wording as _; sys.exit(any(m in sys.modules for m in ('numpy', 'torch')))"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
