"""What a run began with (recipe, versions, machine, images), and refusing to go on with anything else."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import signbit
from signbit.data import Dataset
from signbit.files import write_whole
from signbit.machine import cpu_name
from signbit.runs.files import FREE, VERSIONS
from signbit.training.recipe import Recipe

__all__ = ["fingerprints", "refuse_changes", "refuse_other_data", "versions", "write_origin"]

WAY_OUT = "set it back, train anew in another directory, or resume with --changed (changed=True)"


def refuse_changes(run: Path, recipe: Recipe, checkpoint: Mapping[str, Any] | None) -> None:
    """Makes sure that going on gives what an unbroken run would have given.

    Raises:
        ValueError: the recipe, a version, the processor or the number of threads is not what the run began with.
    """
    began, present = _began(run), versions()
    for key in present:
        if key != "platform" and began.get(key) != present[key]:
            raise ValueError(
                f"{run} was begun with {key} {began.get(key)} and this is {key} {present[key]}, so it would not go on "
                f"bit for bit; {WAY_OUT}"
            )
    if checkpoint is not None:
        _refuse_other_recipe(run, recipe, checkpoint)


def _refuse_other_recipe(run: Path, recipe: Recipe, checkpoint: Mapping[str, Any]) -> None:
    before = dict(_items(checkpoint.get("recipe", {})))
    now = dict(_items(asdict(recipe)))
    free = [f"{key}." for key in _dictionaries(asdict(recipe))]
    for key in sorted(before.keys() | now.keys()):
        if key in FREE or before.get(key) == now.get(key):
            continue
        if not before:
            raise ValueError(
                f"{run}: the checkpoint does not say by which recipe it was made, so another signbit made it; "
                "train anew in another directory, or resume with --changed (changed=True)"
            )
        if key.startswith(tuple(free)) or key in before.keys() & now.keys():
            old, new = (f"{values[key]}" if key in values else "not set" for values in (before, now))
            raise ValueError(f"{run} was made by another recipe: {key} was {old} and is {new}; {WAY_OUT}")
        raise ValueError(
            f"{run} was made by another signbit, whose recipes have {'no' if key in now else 'a'} key {key}; "
            "go on with that one, train anew in another directory, or resume with --changed (changed=True)"
        )


def refuse_other_data(run: Path, data: Mapping[str, str]) -> None:
    """Makes sure that the images are those that the run began with.

    Args:
        run: directory of the run.
        data: `fingerprints` of the images that are there now.

    Raises:
        ValueError: they are not.
    """
    began = _began(run)
    for key, present in data.items():
        # Runs of an older signbit do not say what they began with.
        if began.get(key, present) != present:
            raise ValueError(
                f"{run} was begun with other {key}: {began[key]} then, {present} now; set data.root to the files of "
                "then, train anew in another directory, or resume with --changed (changed=True)"
            )


def _began(run: Path) -> Mapping[str, Any]:
    """What `versions.json` says that the run began with."""
    try:
        began = json.loads((run / VERSIONS).read_bytes())
        if not isinstance(began, dict):
            raise ValueError
        return began
    except (FileNotFoundError, ValueError):
        raise ValueError(
            f"{run / VERSIONS} is missing or damaged, so nobody knows what the run began with; put a copy back, or "
            "resume with --changed (changed=True)"
        ) from None


def _items(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _items(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _dictionaries(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Keys of a recipe that hold keys of the user's own, such as an optimizer's options."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            if key in ("options", "schedules"):
                yield f"{path}{key}"
            else:
                yield from _dictionaries(value, f"{path}{key}.")


def fingerprints(training: Dataset, validation: Dataset | None) -> dict[str, str]:
    """What is noted of the images of a run, so that others are noticed when it goes on."""
    found = {"training images": training.fingerprint()}
    return found if validation is None else found | {"validation images": validation.fingerprint()}


def write_origin(run: Path, data: Mapping[str, str]) -> None:
    """Writes down what the run begins with, or goes on with.

    Args:
        run: directory of the run.
        data: `fingerprints` of its images.
    """
    write_whole(run / VERSIONS, (json.dumps({**versions(), **data}, indent=1) + "\n").encode())


def versions() -> Mapping[str, str | int]:
    """What a result may depend on beside the recipe."""
    found: dict[str, str | int] = {"signbit": signbit.__version__, "python": platform.python_version()}
    for package in ("torch", "lightning", "kornia", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found | {"platform": platform.platform(), "cpu": cpu_name(), "threads": torch.get_num_threads()}
