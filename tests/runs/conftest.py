import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from runs.cases import VERSIONS


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run directory."""

    def make(name: str, values: dict[str, Any], lines: list[dict[str, Any]], **versions: Any) -> Path:
        run = tmp_path / name
        run.mkdir()
        (run / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        (run / "versions.json").write_text(json.dumps(VERSIONS | versions))
        (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        return run

    return make
