"""Trains what a recipe says, into a run directory."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from signbit.data import Dataset, load
from signbit.data.augment import Prepare
from signbit.data.loader import mix
from signbit.training.callbacks import Checkpoints, Metrics, ProgressBar
from signbit.training.module import Classification
from signbit.training.parse import load_recipe, save_recipe
from signbit.training.recipe import Recipe
from signbit.training.run import (
    CHECKPOINT,
    METRICS,
    RECIPE,
    VERSIONS,
    build_model,
    forget_metrics,
    read_checkpoint,
    read_metrics,
    versions,
)

__all__ = ["Result", "resume", "train"]

PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a finished run says of itself.

    Attributes:
        path: its directory.
        metrics: the last line of its metrics.
        seconds: wall time of training and validation.
    """

    path: Path
    metrics: dict[str, Any]
    seconds: float


def train(recipe: Recipe, run: str | Path, *, progress: bool = True, callbacks: tuple[Callback, ...] = ()) -> Result:
    """Trains a network from fresh weights; nothing is written before data, model and optimizer stand.

    Args:
        recipe: what to train.
        run: directory to make; it must not hold a run.
        progress: shows a bar on standard error if that is a terminal.
        callbacks: further Lightning callbacks.

    Raises:
        ValueError: the recipe names something that does not exist or does not fit, the data are missing or damaged
            (`data.DataError`), the directory holds a run, or the loss is no longer finite (`TrainingError`).
        OSError: the directory cannot be written.
    """
    path = Path(run)
    if (path / RECIPE).exists():
        raise ValueError(f"{path} holds a run already; give another directory, or resume it")
    with _settings(recipe):
        module = _module(recipe)
        path.mkdir(parents=True, exist_ok=True)
        save_recipe(recipe, path / RECIPE)
        (path / VERSIONS).write_text(json.dumps(versions(), indent=1) + "\n", encoding="utf-8")
        return _fit(module, path, progress, callbacks, None)


def resume(run: str | Path, *, progress: bool = True, callbacks: tuple[Callback, ...] = ()) -> Result:
    """Takes a run up again after its last finished epoch, as if it had never stopped.

    Args:
        run: directory of the run.
        progress: as in `train`.
        callbacks: as in `train`.

    Raises:
        ValueError: as `train`, or there is no checkpoint.
    """
    path = Path(run)
    recipe = load_recipe(path / RECIPE)
    forget_metrics(path, after=read_checkpoint(path)["global_step"])
    with _settings(recipe):
        return _fit(_module(recipe), path, progress, callbacks, path / CHECKPOINT)


def _module(recipe: Recipe) -> Classification:
    training, validation = load(recipe.data.name, recipe.data.root, "train").hold_out(recipe.data.validation)
    torch.manual_seed(mix(recipe.seed, -1))
    model = build_model(recipe, len(training.classes), training.image.shape[0])
    _try(model, training, recipe.model.name)
    return Classification(recipe, model, training, validation)


@torch.inference_mode()
def _try(model: nn.Module, dataset: Dataset, name: str) -> None:
    try:
        model.eval()(Prepare(dataset.image)(torch.from_numpy(dataset.images[:1].copy())))
    except RuntimeError as error:
        size = "x".join(map(str, dataset.image.shape))
        raise ValueError(
            f"model {name} cannot take the {size} images of {dataset.name} ({str(error).splitlines()[0]}); "
            "take another model or set model.options"
        ) from None
    finally:
        model.train()


def _fit(
    module: Classification, path: Path, progress: bool, callbacks: tuple[Callback, ...], checkpoint: Path | None
) -> Result:
    bar = (ProgressBar(),) if progress else ()
    trainer = Trainer(
        max_epochs=module.recipe.epochs,
        devices=1,
        precision=PRECISION[module.recipe.precision],
        callbacks=[Metrics(path / METRICS), *bar, *callbacks, Checkpoints(path / CHECKPOINT)],
        reload_dataloaders_every_n_epochs=1,
        limit_val_batches=0 if module.validation_set is None else None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=path,
    )
    trainer.fit(module, ckpt_path=checkpoint)
    last = read_metrics(path)[-1]
    return Result(path=path, metrics=last, seconds=last["seconds"])


@contextmanager
def _settings(recipe: Recipe) -> Iterator[None]:
    """The recipe's threads, a random state of the run's own, and Lightning without announcements and old calls."""
    threads = torch.get_num_threads()
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        try:
            logger.setLevel(logging.WARNING)
            if recipe.threads is not None:
                torch.set_num_threads(recipe.threads)
            yield
        finally:
            torch.set_num_threads(threads)
            logger.setLevel(level)
