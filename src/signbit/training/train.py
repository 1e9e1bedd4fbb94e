"""Trains what a recipe says, into a run directory."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from signbit.data import Dataset
from signbit.data.augment import Prepare
from signbit.data.loader import mix
from signbit.training.average import RealAverage
from signbit.training.checkpoints import Checkpoints, WholeFiles
from signbit.training.datasets import load_training
from signbit.training.metrics import Metrics
from signbit.training.module import Classification
from signbit.training.origin import fingerprints, refuse_changes, refuse_other_data, write_origin
from signbit.training.parse import save_recipe
from signbit.training.progress import ProgressBar
from signbit.training.recipe import Recipe
from signbit.training.run import (
    CHECKPOINT,
    METRICS,
    RECIPE,
    TENSORBOARD,
    build_model,
    expect_whole,
    forget_metrics,
    load_weights,
    read_checkpoint,
    read_metrics,
    recipe_of,
)

__all__ = ["Result", "resume", "train"]

PRECISION: dict[str, Any] = {"exact": "32-true", "fast": "bf16-mixed"}


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
        InterruptError: Ctrl-C or SIGTERM; the run is saved.
        OSError: the directory cannot be written.
    """
    path = Path(run)
    if (path / RECIPE).exists():
        raise ValueError(f"{path} holds a run already; give another directory, or resume it")
    with _settings(recipe):
        module = _module(recipe)
        write_origin(path, _fingerprints(module))
        # Last, because a directory without a recipe is no run yet.
        save_recipe(recipe, path / RECIPE)
        return _fit(module, path, progress, callbacks, None)


def resume(
    run: str | Path, *, progress: bool = True, callbacks: tuple[Callback, ...] = (), changed: bool = False
) -> Result:
    """Takes a run up again at its last checkpoint, as if it had never stopped; without one, from the beginning.

    Args:
        run: directory of the run.
        progress: as in `train`.
        callbacks: as in `train`.
        changed: goes on even if recipe, versions or machine are no longer those that the run began with.

    Raises:
        ValueError: as `train`, the checkpoint is damaged or does not fit, or something has changed.
        OSError: the directory cannot be written.
    """
    path = Path(run)
    recipe = recipe_of(path)
    checkpoint = read_checkpoint(path) if (path / CHECKPOINT).is_file() else None
    if checkpoint is not None:
        expect_whole(checkpoint, path)
    with _settings(recipe):
        if not changed:
            refuse_changes(path, recipe, checkpoint)
        module = _module(recipe)
        data = _fingerprints(module)
        if not changed:
            refuse_other_data(path, data)
        # Even where nothing has changed: a directory that cannot be written is noticed now, not after an epoch.
        write_origin(path, data)
        if checkpoint is None:
            forget_metrics(path, after=-1)
            return _fit(module, path, progress, callbacks, None)
        load_weights(module, checkpoint["state_dict"], recipe, path)
        forget_metrics(path, after=checkpoint["global_step"])
        return (
            _result(path) if _stopped_early(checkpoint) else _fit(module, path, progress, callbacks, path / CHECKPOINT)
        )


def _fingerprints(module: Classification) -> dict[str, str]:
    return fingerprints(module.training_set, module.validation_set)


def _stopped_early(checkpoint: dict[str, Any]) -> bool:
    """Whether `EarlyStopping` has ended the run."""
    states = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= state["patience"] for state in states)


def _module(recipe: Recipe) -> Classification:
    training, validation, _ = load_training(recipe.data)
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
    recipe = module.recipe
    trainer = Trainer(
        max_epochs=recipe.epochs,
        devices=1,
        precision=PRECISION[recipe.mode],
        accumulate_grad_batches=recipe.accumulate,
        callbacks=_callbacks(recipe, path, progress, callbacks),
        plugins=[WholeFiles()],
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
    return _result(path)


def _callbacks(recipe: Recipe, path: Path, progress: bool, own: tuple[Callback, ...]) -> list[Callback]:
    found: list[Callback] = []
    if recipe.ema is not None:
        found.append(RealAverage(decay=recipe.ema))
    if recipe.early_stop is not None:
        # After validation, so that the checkpoint of the epoch knows of the end.
        early = partial(EarlyStopping, check_finite=False, check_on_train_epoch_end=False)
        found.append(early("validation_loss", patience=recipe.early_stop))
    found.append(Metrics(path / METRICS, path / TENSORBOARD if recipe.tensorboard else None))
    if progress:
        found.append(ProgressBar())
    # Last, so that a checkpoint holds what the others have done.
    return [*found, *own, Checkpoints(path / CHECKPOINT, recipe.checkpoint_steps)]


def _result(path: Path) -> Result:
    last = read_metrics(path)[-1]
    return Result(path=path, metrics=last, seconds=last["seconds"])


@contextmanager
def _settings(recipe: Recipe) -> Iterator[None]:
    """The recipe's threads, a random state of the run's own, no announcements and old calls of libraries."""
    threads = torch.get_num_threads()
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        # `torch.compile` imports TorchScript, and makes objects of autograd functions.
        warnings.filterwarnings("ignore", module=r"torch\.", category=DeprecationWarning)
        try:
            logger.setLevel(logging.WARNING)
            if recipe.threads is not None:
                torch.set_num_threads(recipe.threads)
            yield
        finally:
            torch.set_num_threads(threads)
            logger.setLevel(level)
