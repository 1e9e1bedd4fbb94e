from pathlib import Path

import pytest

import signbit.export.lower  # noqa: F401  (fills the table)
from signbit.export.rules import MODULES

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.parametrize("name", sorted(cls.__name__ for cls in MODULES))
def test_every_module_with_a_rule_is_documented(name):
    assert f"`{name}`" in PAGE.read_text()
