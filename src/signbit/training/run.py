"""A run is a directory: resolved recipe, versions, metrics as JSON lines, checkpoints."""

import json
import pickle
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import nn

import signbit
from signbit.models import create_model
from signbit.packed import ImagePreparation
from signbit.runs.files import FREE, METRICS, RECIPE, VERSIONS, read_metrics
from signbit.training.files import write_whole
from signbit.training.parse import load_recipe
from signbit.training.recipe import Recipe

__all__ = ["CHECKPOINT", "METRICS", "RECIPE", "VERSIONS", "Run", "load_run", "read_metrics", "versions"]

CHECKPOINT = "checkpoints/last.ckpt"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A trained network with what is needed to use it.

    Attributes:
        path: directory of the run.
        recipe: what was trained.
        step: updates that the weights have had.
        model: the network in eval mode, with the last weights (where the recipe has `ema`, their running mean).
        image: how images become its input.
        labels: class names.
    """

    path: Path
    recipe: Recipe
    step: int
    model: nn.Module
    image: ImagePreparation
    labels: tuple[str, ...]


def load_run(run: str | Path) -> Run:
    """Reads the last checkpoint of a run; the data set is not needed.

    Raises:
        ValueError: not a run, no checkpoint yet, or a damaged one.
    """
    path = Path(run)
    recipe = recipe_of(path)
    checkpoint = read_checkpoint(path)
    image, labels = ImagePreparation(**checkpoint["image"]), tuple(checkpoint["labels"])
    model = build_model(recipe, len(labels), image.shape[0])
    weights = {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")}
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path}: the checkpoint does not fit {recipe.model.name}: {error}") from None
    return Run(path=path, recipe=recipe, step=checkpoint["global_step"], model=model.eval(), image=image, labels=labels)


def recipe_of(run: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        ValueError: not a run, or a damaged one.
    """
    if not (run / RECIPE).is_file():
        raise ValueError(f"{run} is not a run: it has no {RECIPE}; give the directory that `signbit train` made")
    return load_recipe(run / RECIPE)


def build_model(recipe: Recipe, num_classes: int, in_chans: int) -> nn.Module:
    """The recipe's network with fresh weights from torch's generator."""
    return create_model(recipe.model.name, num_classes=num_classes, in_chans=in_chans, **recipe.model.options)


def read_checkpoint(run: Path) -> dict[str, Any]:
    """The last checkpoint of a run, loaded with weights_only.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise ValueError(
            f"{run} has no {CHECKPOINT}; the run ended before its first one; `signbit resume` starts it again"
        )
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"image", "labels", "state_dict"} <= checkpoint.keys():
            raise ValueError("not a checkpoint of signbit")
        return checkpoint
    except (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, AttributeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "the file is empty")
        raise ValueError(f"{path} cannot be read: {reason}") from None


def forget_metrics(run: Path, *, after: int) -> None:
    """Drops the lines of epochs that ended after step `after`, and an unfinished one."""
    path = run / METRICS
    if not path.is_file():
        return
    kept = "".join(json.dumps(line) + "\n" for line in read_metrics(run) if line["step"] <= after)
    if kept != path.read_text(encoding="utf-8"):
        write_whole(path, kept.encode())


def refuse_changes(run: Path, recipe: Recipe, checkpoint: Mapping[str, Any] | None) -> None:
    """Makes sure that going on gives what an unbroken run would have given.

    Raises:
        ValueError: the recipe, a version, the processor or the number of threads is not what the run began with.
    """
    way_out = "set it back, train anew in another directory, or resume with --changed (changed=True)"
    if checkpoint is not None:
        before = dict(_items(checkpoint.get("recipe", {})))
        now = dict(_items(asdict(recipe)))
        for key in sorted(before.keys() | now.keys()):
            if key not in FREE and before.get(key) != now.get(key):
                raise ValueError(
                    f"{run} was made by another recipe: {key} was {before.get(key)} and is {now.get(key)}; {way_out}"
                )
    began, present = json.loads((run / VERSIONS).read_text(encoding="utf-8")), versions()
    for key in present:
        if key != "platform" and began.get(key) != present[key]:
            raise ValueError(
                f"{run} was begun with {key} {began.get(key)} and this is {key} {present[key]}, so it would not go on "
                f"bit for bit; {way_out}"
            )


def _items(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _items(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def versions() -> Mapping[str, str | int]:
    """What a result may depend on beside the recipe."""
    found: dict[str, str | int] = {"signbit": signbit.__version__, "python": platform.python_version()}
    for package in ("torch", "lightning", "kornia", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found | {"platform": platform.platform(), "cpu": _cpu(), "threads": torch.get_num_threads()}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
