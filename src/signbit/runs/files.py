"""What a run directory holds, by name."""

import json
from pathlib import Path
from typing import Any

__all__ = ["FREE", "METRICS", "RECIPE", "RESULTS", "VERSIONS", "read_lines", "read_metrics"]

RECIPE = "recipe.yaml"
VERSIONS = "versions.json"
METRICS = "metrics.jsonl"
RESULTS = "results.jsonl"

FREE = ("data.root", "data.workers", "checkpoint_steps", "tensorboard")
"""Keys of a recipe that change nothing of what it computes."""


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """The whole lines of a run's metrics, one per epoch; a kill may leave the last one unfinished."""
    return read_lines(Path(run) / METRICS)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one in each line, without an unfinished last one.

    Raises:
        ValueError: a line that is no JSON object.
        OSError: the file cannot be read.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if line.endswith("\n"):
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise ValueError(f"{path} is damaged: line {number} is no JSON object")
            found.append(value)
    return found
