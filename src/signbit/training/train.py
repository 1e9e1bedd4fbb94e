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
from torch import Tensor, nn

from signbit.data.loader import mix
from signbit.training.average import RealAverage
from signbit.training.checkpoints import Checkpoints, WholeFiles
from signbit.training.datasets import load_training
from signbit.training.handover import check_handover, source_of, starting_weights, with_own_state
from signbit.training.metrics import Metrics
from signbit.training.module import Classification
from signbit.training.origin import fingerprints, refuse_changes, refuse_other_data, write_origin
from signbit.training.parse import save_recipe
from signbit.training.progress import ProgressBar
from signbit.training.recipe import Recipe
from signbit.training.run import (
    METRICS,
    RECIPE,
    TENSORBOARD,
    build_model,
    expect_optimizer,
    expect_whole,
    forget_metrics,
    load_weights,
    read_checkpoint,
    read_metrics,
    recipe_of,
)
from signbit.training.stages import Stage, latest_stage, line_before, stages_of
from signbit.training.teacher import find_teacher

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


def train(
    recipe: Recipe,
    run: str | Path,
    *,
    progress: bool = True,
    callbacks: tuple[Callback, ...] = (),
    teacher: nn.Module | None = None,
) -> Result:
    """Trains a network, stage by stage; nothing is written before data, models, optimizers and teachers stand.

    Args:
        recipe: what to train.
        run: directory to make; it must not hold a run.
        progress: shows a bar on standard error if that is a terminal.
        callbacks: further Lightning callbacks.
        teacher: any network on the prepared images, for stages whose loss compares with one and whose recipe names
            none. It is frozen and put into eval mode.

    Raises:
        ValueError: the recipe names something that does not exist or does not fit, the data are missing or damaged
            (`data.DataError`), the directory holds a run, or the loss is no longer finite (`TrainingError`).
        InterruptError: Ctrl-C or SIGTERM; the run is saved.
        OSError: the directory cannot be written.
    """
    path = Path(run)
    if (path / RECIPE).exists():
        raise ValueError(f"{path} holds a run already; give another directory, or resume it")
    stages = stages_of(path, recipe)
    if teacher is not None and not any(s.recipe.loss.needs_teacher and s.recipe.teacher is None for s in stages):
        raise ValueError("teacher= has nothing to teach; set the weight of a term such as loss.distribution")
    with _settings(recipe):
        module = _first_module(stages, teacher)
        path.mkdir(parents=True, exist_ok=True)
        write_origin(path, _fingerprints(module))
        # Last, because a directory without a recipe is no run yet.
        save_recipe(recipe, path / RECIPE)
        return _train_stages(stages, module, teacher, None, progress, callbacks)


def resume(
    run: str | Path,
    *,
    progress: bool = True,
    callbacks: tuple[Callback, ...] = (),
    changed: bool = False,
    teacher: nn.Module | None = None,
) -> Result:
    """Takes a run up again at its last checkpoint, as if it had never stopped; without one, from the beginning.

    Args:
        run: directory of the run.
        progress: as in `train`.
        callbacks: as in `train`.
        changed: goes on even if recipe, teacher, versions or machine are no longer those that the run began with.
        teacher: as in `train`.

    Raises:
        ValueError: as `train`, the checkpoint is damaged or does not fit, or something has changed.
        OSError: the directory cannot be written.
    """
    path = Path(run)
    recipe = recipe_of(path)
    stages = stages_of(path, recipe)
    begun = latest_stage(stages)
    checkpoint = None if begun is None else read_checkpoint(begun.checkpoint)
    if checkpoint is not None:
        expect_whole(checkpoint, path)
    rest = stages if begun is None else stages[stages.index(begun) :]
    with _settings(recipe):
        if not changed:
            refuse_changes(path, rest[0].recipe, checkpoint)
            for stage in stages[: -len(rest)]:
                refuse_changes(path, stage.recipe, read_checkpoint(stage.checkpoint))
        module = _first_module(rest, teacher)
        data = _fingerprints(module)
        if not changed:
            refuse_other_data(path, data)
        # Even where nothing has changed: a directory that cannot be written is noticed now, not after an epoch.
        write_origin(path, data)
        if checkpoint is not None:
            load_weights(module, checkpoint["state_dict"], rest[0].recipe, path)
            expect_optimizer(checkpoint, module.hybrid, path)
            if not changed and module.fingerprint != checkpoint.get("teacher"):
                raise ValueError(
                    f"{path} has learnt from another teacher; give it back, train anew in another directory, or resume "
                    "with --changed (changed=True)"
                )
        return _train_stages(rest, module, teacher, checkpoint, progress, callbacks)


def _fingerprints(module: Classification) -> dict[str, str]:
    return fingerprints(module.training_set, module.validation_set)


def _stopped_early(checkpoint: dict[str, Any]) -> bool:
    """Whether `EarlyStopping` has ended the run."""
    states = [state for name, state in checkpoint["callbacks"].items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= state["patience"] for state in states)


def _train_stages(
    stages: list[Stage],
    module: Classification,
    given: nn.Module | None,
    checkpoint: dict[str, Any] | None,
    progress: bool,
    callbacks: tuple[Callback, ...],
) -> Result:
    """Trains one stage after another.

    Args:
        stages: those that are left.
        module: of the first of them.
        given: a teacher for recipes that name none.
        checkpoint: of the first, if it has begun.
        progress: whether a bar is shown.
        callbacks: further Lightning callbacks.
    """
    for stage in stages:
        if stage is not stages[0]:
            module, checkpoint = _module(stage, starting_weights(stage), given, like=module), None
        before = line_before(stage)
        offset = 0 if before is None else before["step"]
        forget_metrics(stage.run, after=offset + (0 if checkpoint is None else checkpoint["global_step"]))
        if checkpoint is None or not _stopped_early(checkpoint):
            own = _callbacks(stage, before, progress, callbacks)
            _fit(stage, module, own, None if checkpoint is None else stage.checkpoint)
    last = read_metrics(stages[-1].run)[-1]
    return Result(path=stages[-1].run, metrics=last, seconds=last["seconds"])


def _first_module(stages: list[Stage], given: nn.Module | None) -> Classification:
    """What the first of the stages trains, after all the others were built once, so that nothing fails hours later."""
    first = module = _module(stages[0], starting_weights(stages[0]), given)
    built = {stages[0].name: module.model.state_dict()}
    for stage in stages[1:]:
        source = source_of(stage)
        weights = built[source] if source in built else starting_weights(stage)
        module = _module(stage, weights, given, like=module, ahead=True)
        built[stage.name] = module.model.state_dict()
    return first


def _module(
    stage: Stage,
    weights: dict[str, Tensor] | None,
    given: nn.Module | None,
    *,
    like: Classification | None = None,
    ahead: bool = False,
) -> Classification:
    """What a stage trains.

    Args:
        stage: which.
        weights: to begin with; None gives fresh ones.
        given: a teacher for recipes that name none.
        like: of an earlier stage, with the same images.
        ahead: whether earlier stages are still to be trained, so that they cannot teach.
    """
    recipe = stage.recipe
    training, validation = load_training(recipe.data)[:2] if like is None else (like.training_set, like.validation_set)
    teacher = find_teacher(stage, training, given, ahead=ahead)
    torch.manual_seed(mix(recipe.seed, -1))
    model = build_model(recipe, len(training.classes), training.image)
    if weights is not None:
        weights = with_own_state(weights, model)
        check_handover(stage, weights, model.state_dict())
        model.load_state_dict(weights)
    module = Classification(recipe, model, training, validation, teacher)
    _try(module)
    return module


@torch.inference_mode()
def _try(module: Classification) -> None:
    """One image through network and loss."""
    dataset, size = module.training_set, "x".join(map(str, module.training_set.image.shape))
    pixels, labels = torch.from_numpy(dataset.images[:1].copy()), torch.from_numpy(dataset.labels[:1].copy())
    module.model.eval()
    try:
        scores = module.model(module.prepare(pixels))
    except RuntimeError as error:
        raise ValueError(
            f"model {module.recipe.model.name} cannot take the {size} images of {dataset.name} "
            f"({str(error).splitlines()[0]}); take another model or set model.options"
        ) from None
    try:
        module.objective(scores, labels, pixels)
    except RuntimeError as error:
        raise ValueError(
            f"the teacher cannot take the {size} images of {dataset.name} ({str(error).splitlines()[0]}); take another"
        ) from None
    module.model.train()


def _fit(stage: Stage, module: Classification, callbacks: list[Callback], checkpoint: Path | None) -> None:
    recipe = stage.recipe
    trainer = Trainer(
        max_epochs=recipe.epochs,
        devices=1,
        precision=PRECISION[recipe.mode],
        accumulate_grad_batches=recipe.accumulate,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        reload_dataloaders_every_n_epochs=1,
        limit_val_batches=0 if module.validation_set is None else None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=stage.run,
    )
    trainer.fit(module, ckpt_path=checkpoint)


def _callbacks(
    stage: Stage, before: dict[str, Any] | None, progress: bool, own: tuple[Callback, ...]
) -> list[Callback]:
    recipe, path = stage.recipe, stage.run
    found: list[Callback] = []
    if recipe.ema is not None:
        found.append(RealAverage(decay=recipe.ema))
    if recipe.early_stop is not None:
        # After validation, so that the checkpoint of the epoch knows of the end.
        early = partial(EarlyStopping, check_finite=False, check_on_train_epoch_end=False)
        found.append(early("validation_loss", patience=recipe.early_stop))
    events = path / TENSORBOARD if recipe.tensorboard else None
    found.append(Metrics(path / METRICS, events, stage=stage.name, before=before))
    if progress:
        found.append(ProgressBar(stage.name))
    # Last, so that a checkpoint holds what the others have done.
    return [*found, *own, Checkpoints(stage.checkpoint, recipe.checkpoint_steps)]


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
        # It also looks at the gradients of weights that were encoded before.
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
        try:
            logger.setLevel(logging.WARNING)
            if recipe.threads is not None:
                torch.set_num_threads(recipe.threads)
            yield
        finally:
            torch.set_num_threads(threads)
            logger.setLevel(level)
