"""A run is a directory: resolved recipe, versions, metrics as JSON lines, checkpoints."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from signbit.files import write_whole
from signbit.models import create_model
from signbit.nn import ThermometerEncode
from signbit.optim import Hybrid
from signbit.packed import ImagePreparation
from signbit.runs.files import METRICS, RECIPE, read_metrics
from signbit.sparsity import attach_masks
from signbit.training.parse import load_recipe
from signbit.training.recipe import Recipe
from signbit.training.stages import CHECKPOINT, latest_stage, line_before, stages_of

__all__ = ["CHECKPOINT", "METRICS", "RECIPE", "TENSORBOARD", "Run", "load_run", "read_metrics"]

TENSORBOARD = "tensorboard"


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A trained network with what is needed to use it.

    Attributes:
        path: directory of the run.
        recipe: what was trained; of a run in stages, the recipe of the stage.
        step: updates that the weights have had; of a run in stages, those of all its stages so far.
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


def load_run(run: str | Path, *, stage: str | None = None) -> Run:
    """Reads the last checkpoint of a run; the data set is not needed.

    Args:
        run: directory of the run.
        stage: one of its stages; None takes the last that has a checkpoint.

    Raises:
        ValueError: not a run, no such stage, no checkpoint yet, or a damaged one.
    """
    path = Path(run)
    stages = stages_of(path, recipe_of(path))
    if stage is None:
        chosen = latest_stage(stages) or stages[-1]
    else:
        found = {each.name: each for each in stages if each.name}
        if stage not in found:
            raise ValueError(f"{path} has no stage {stage!r}; it has {', '.join(found) or 'none'}")
        chosen = found[stage]
    recipe, checkpoint = chosen.recipe, read_checkpoint(chosen.checkpoint)
    image, labels = ImagePreparation(**checkpoint["image"]), tuple(checkpoint["labels"])
    model = build_model(recipe, len(labels), image)
    load_weights(model, weights_of(checkpoint), recipe, path)
    before = line_before(chosen)
    step = checkpoint["global_step"] + (0 if before is None else before["step"])
    return Run(path=path, recipe=recipe, step=step, model=model.eval(), image=image, labels=labels)


def load_weights(module: nn.Module, weights: Mapping[str, Any], recipe: Recipe, run: Path) -> None:
    """Fills `module` with the weights of a run's checkpoint.

    Raises:
        ValueError: they are those of another network; the message names the first that does not fit.
    """
    try:
        module.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        first = next(iter(" ".join(str(error).split()).removeprefix("Error(s) in loading state_dict for ").split(". ")))
        raise ValueError(
            f"{run}: the checkpoint does not fit {recipe.model.name} ({first}); set model.name and model.options in "
            f"{RECIPE} back to what was trained"
        ) from None


def recipe_of(run: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        ValueError: not a run, or a damaged one.
    """
    if not (run / RECIPE).is_file():
        raise ValueError(f"{run} is not a run: it has no {RECIPE}; give the directory that `signbit train` made")
    return load_recipe(run / RECIPE)


def build_model(recipe: Recipe, num_classes: int, image: ImagePreparation) -> nn.Module:
    """The recipe's network with fresh weights from torch's generator, and with masks where the recipe has a budget.

    Where it encodes pixels, it knows how they are normalised.
    """
    model = create_model(recipe.model.name, num_classes=num_classes, in_chans=image.shape[0], **recipe.model.options)
    for module in model.modules():
        if isinstance(module, ThermometerEncode):
            module.set_normalization(image.mean, image.std)
    if recipe.sparsity.density is not None:
        try:
            attach_masks(model)
        except ValueError as error:
            raise ValueError(f"sparsity.density {recipe.sparsity.density}: {error}") from None
    return model


WHOLE: dict[str, type] = {
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
    "pytorch-lightning_version": str,
    "totals": Tensor,
}
"""What a checkpoint holds beside the weights, so that a run can go on."""


def expect_whole(checkpoint: Mapping[str, Any], run: Path) -> None:
    """Raises `ValueError` unless the run can go on from its checkpoint."""
    for key, kind in WHOLE.items():
        if not isinstance(checkpoint.get(key), kind):
            found = f"has {type(checkpoint[key]).__name__} as {key}" if key in checkpoint else f"has no {key}"
            raise ValueError(
                f"{run}: the checkpoint {found}, so another signbit or another program made it, and the run cannot go "
                f"on; its weights stand: `signbit eval {run}`, `signbit export {run}`"
            )


def expect_optimizer(checkpoint: Mapping[str, Any], optimizer: Hybrid, run: Path) -> None:
    """Raises `ValueError` unless `optimizer` can load the state of a whole checkpoint."""
    states = checkpoint["optimizer_states"]
    try:
        if len(states) != 1:
            raise ValueError(f"there are {len(states)} states for one optimizer")
        optimizer.check_state_dict(states[0])
    except ValueError as error:
        raise ValueError(
            f"{run}: the optimizer's state in the checkpoint does not fit the run ({error}), so it cannot go on; its "
            f"weights stand: `signbit eval {run}`, `signbit export {run}`"
        ) from None


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """State dict of the network in a checkpoint."""
    return {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of a run, loaded with weights_only.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(
            f"{path.parent.parent} has no {path.parent.name}/{path.name}; the run ended before its first one; "
            "`signbit resume` starts it again"
        )
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(checkpoint, dict) or not {"image", "labels", "state_dict"} <= checkpoint.keys():
            raise ValueError("it is no checkpoint of signbit")
        return checkpoint
    except (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, AttributeError, ValueError) as error:
        reason = next(iter(str(error).split(". ")[0].splitlines()), "the file is empty")
        raise ValueError(f"{path} cannot be read ({reason}); put a copy back, or train anew") from None


def forget_metrics(run: Path, *, after: int) -> None:
    """Drops the lines of epochs that ended after step `after`, and an unfinished one."""
    path = run / METRICS
    if not path.is_file():
        return
    kept = "".join(json.dumps(line) + "\n" for line in read_metrics(run) if line["step"] <= after)
    if kept != path.read_text(encoding="utf-8"):
        write_whole(path, kept.encode())
