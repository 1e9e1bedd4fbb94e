"""Runs beside each other: those that differ in the seed alone are one group, with mean and spread."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signbit.runs.record import RunRecord, read_run
from signbit.runs.settings import differences, settings, words

__all__ = ["Comparison", "Group", "Spread", "compare"]


@dataclass(frozen=True)
class Spread:
    """A figure of several runs.

    Attributes:
        values: of each run.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation, estimated from the runs (n − 1); None of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def dict(self) -> dict[str, Any]:
        """For programs."""
        return {"mean": self.mean, "deviation": self.deviation, "values": self.values}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of one recipe with different seeds.

    Attributes:
        recipe: name of the recipe.
        label: name for a legend.
        words: its optimizer, and what sets it apart from the other groups of the recipe.
        differs: the same as dotted keys and values.
        runs: in the order of the seeds.
    """

    recipe: str
    label: str
    words: tuple[str, ...]
    differs: dict[str, Any]
    runs: tuple[RunRecord, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of each run."""
        return tuple(run.recipe.get("seed", 0) for run in self.runs)

    @property
    def epochs(self) -> tuple[int, ...]:
        """Finished epochs of each run."""
        return tuple(len(run.metrics) for run in self.runs)

    @property
    def planned(self) -> int | None:
        """Epochs of the recipe; None where its stages say them."""
        epochs = self.runs[0].recipe.get("epochs")
        return epochs if isinstance(epochs, int) and not self.runs[0].recipe.get("stages") else None

    def last(self, key: str) -> Spread | None:
        """A figure of the last epoch."""
        return _spread(run.metrics[-1].get(key) for run in self.runs)

    def best(self, key: str) -> Spread | None:
        """Largest value of a figure over the epochs; chosen by looking, so that it flatters."""
        values = [[value for value in run.series(key) if value is not None] for run in self.runs]
        return _spread(max(found, default=None) for found in values)

    def result(self, images: str) -> Spread | None:
        """Accuracy of the last checkpoint on images that `signbit eval` measured; of the runs that have it."""
        return _spread(run.results.get(images) for run in self.runs)

    def dict(self) -> dict[str, Any]:
        """For programs."""
        figures = {
            "best_validation_accuracy": self.best("validation_accuracy"),
            **{key: self.last(key) for key in _figures(self.runs)},
            **{f"{images}_accuracy": self.result(images) for images in _images([self])},
        }
        return {
            "recipe": self.recipe,
            "differs": self.differs,
            "runs": [str(run.path) for run in self.runs],
            "seeds": self.seeds,
            "epochs": self.epochs,
            "planned_epochs": self.planned,
            **{key: spread.dict() for key, spread in figures.items() if spread is not None},
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups of runs.

    Attributes:
        groups: by recipe, in each the best first.
        left_out: what could not be read, as one sentence each.
        notes: what to keep in mind when comparing.
    """

    groups: tuple[Group, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """Sets of images on which `signbit eval` has measured some of the runs."""
        return _images(self.groups)

    def dict(self) -> dict[str, Any]:
        """For programs."""
        groups = [group.dict() for group in self.groups]
        return {"groups": groups, "left_out": self.left_out, "notes": self.notes}


def compare(runs: Iterable[str | Path]) -> Comparison:
    """Reads run directories, finished or not, and groups those whose recipes differ in the seed alone.

    Args:
        runs: the directories.

    Raises:
        ValueError: none of them can be read; the message says why of each.
    """
    records, left_out = [], []
    for path in dict.fromkeys(map(Path, runs)):
        try:
            records.append(read_run(path))
        except ValueError as error:
            left_out.append(str(error))
    if not records:
        raise ValueError("; ".join(left_out) or "no run to compare; give run directories, such as runs/*")
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(repr(sorted(settings(record.recipe).items(), key=lambda pair: pair[0])), []).append(record)
    members = [sorted(group, key=lambda run: run.recipe.get("seed", 0)) for group in found.values()]
    names = sorted({_name(group[0]) for group in members})
    groups = [
        group for name in names for group in _groups(name, [runs for runs in members if _name(runs[0]) == name], names)
    ]
    return Comparison(groups=tuple(groups), left_out=tuple(left_out), notes=tuple(_notes(groups)))


def _name(run: RunRecord) -> str:
    return str(run.recipe.get("name"))


def _groups(name: str, members: Sequence[Sequence[RunRecord]], names: Sequence[str]) -> list[Group]:
    """The groups of one recipe, best first."""
    all_settings = [settings(runs[0].recipe) for runs in members]
    keys = list(dict.fromkeys(["optim.name", *differences(all_settings)]))
    groups = []
    for runs, values in zip(members, all_settings, strict=True):
        differs = {key: values[key] for key in keys if key in values}
        said = tuple(words(differs))
        label = ": ".join([name] * (len(names) > 1) + [", ".join(said)])
        groups.append(Group(recipe=name, label=label, words=said, differs=differs, runs=tuple(runs)))
    return sorted(groups, key=_rank)


def _rank(group: Group) -> float:
    best = group.best("validation_accuracy") or group.best("train_accuracy")
    return -best.mean if best is not None else 0.0


def _notes(groups: Sequence[Group]) -> list[str]:
    notes = []
    for group in groups:
        twice = [seed for seed, count in Counter(group.seeds).items() if count > 1]
        if twice:
            notes.append(f"{group.label}: seed {', '.join(map(str, twice))} more than once, so the spread is too small")
    versions = [run.versions for group in groups for run in group.runs]
    for key in ("signbit", "torch", "cpu", "threads"):
        values = sorted({str(found.get(key)) for found in versions})
        if len(values) > 1:
            notes.append(f"{key} differs: {', '.join(values)}")
    return notes


def _figures(runs: Iterable[RunRecord]) -> list[str]:
    """Keys of a last epoch's line that are one number each, but for what counts the epochs."""
    numbers = (key for run in runs for key, value in run.metrics[-1].items() if isinstance(value, int | float))
    return [key for key in dict.fromkeys(numbers) if key not in ("epoch", "step")]


def _images(groups: Iterable[Group]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for run in group.runs for name in run.results))


def _spread(values: Iterable[float | None]) -> Spread | None:
    found = tuple(value for value in values if value is not None)
    return Spread(found) if found else None
