"""A run as its files tell it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from signbit.runs.files import METRICS, RECIPE, RESULTS, VERSIONS, read_lines, read_metrics

__all__ = ["RunRecord", "read_run"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run directory says of a training, finished or not.

    Attributes:
        path: the directory.
        recipe: keys and values of its recipe, as nested as the file.
        versions: what it ran on.
        metrics: one dictionary per epoch, at least one.
        results: accuracy of the last checkpoint on images measured since, by their name.
    """

    path: Path
    recipe: dict[str, Any]
    versions: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    results: dict[str, float]

    def series(self, key: str) -> list[float | None]:
        """One figure of every epoch; None where the epoch has none."""
        return [line.get(key) for line in self.metrics]


def read_run(path: str | Path) -> RunRecord:
    """Reads a run directory; the recipe may be of a later or earlier version of this library.

    Raises:
        ValueError: not a run, no epoch yet, or damaged; one sentence that names the file.
    """
    run = Path(path)
    if not run.is_dir():
        raise ValueError(f"{run} is no directory; give the one that `signbit train` made")
    if not (run / RECIPE).is_file():
        raise ValueError(f"{run} is not a run: it has no {RECIPE}; give the directory that `signbit train` made")
    try:
        recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8"))
        versions = json.loads((run / VERSIONS).read_text(encoding="utf-8"))
        metrics = read_metrics(run) if (run / METRICS).is_file() else []
        lines = read_lines(run / RESULTS) if (run / RESULTS).is_file() else []
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{run / RECIPE} is damaged: {' '.join(str(error).split())}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{run / VERSIONS} is damaged: {error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{run} is damaged: one of its files is no text") from None
    for name, value in ((RECIPE, recipe), (VERSIONS, versions)):
        if not isinstance(value, dict):
            raise ValueError(f"{run / name} is damaged: it holds {type(value).__name__}, not keys and values")
    if not isinstance(recipe.get("seed", 0), int):
        raise ValueError(f"{run / RECIPE} is damaged: seed must be a whole number, got {recipe['seed']!r}")
    if not metrics:
        raise ValueError(f"{run} has no finished epoch yet; `signbit resume {run}` goes on with it")
    _check(run / METRICS, metrics)
    return RunRecord(
        path=run, recipe=recipe, versions=versions, metrics=tuple(metrics), results=_latest(lines, metrics[-1]["step"])
    )


def _check(path: Path, metrics: list[dict[str, Any]]) -> None:
    for number, line in enumerate(metrics, start=1):
        for key in ("epoch", "step", "seconds"):
            if not isinstance(line.get(key), int | float):
                raise ValueError(f"{path} is damaged: line {number} has no number as its {key}")


def _latest(lines: list[dict[str, Any]], step: int) -> dict[str, float]:
    """The last accuracy on each set of images, of those measured after the last epoch."""
    found: dict[str, float] = {}
    for line in lines:
        accuracy = line.get("accuracy")
        if line.get("step") == step and isinstance(accuracy, int | float):
            found[str(line.get("images"))] = accuracy
    return found
