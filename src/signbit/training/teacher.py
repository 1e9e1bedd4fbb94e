"""The network that a student learns from: frozen, and no part of the student's checkpoint."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from signbit.data import Dataset
from signbit.data.augment import Prepare
from signbit.packed import ImagePreparation
from signbit.training.diagnosis import nonfinite_tensor
from signbit.training.run import Run, load_run
from signbit.training.stages import Stage

__all__ = ["Teacher", "find_teacher"]


@final
class Teacher:
    """A network in eval mode with what its images need; no gradients, and not copied where a student is.

    Args:
        model: the network; it is put into eval mode.
        image: how images become its input.
        source: what it is called in messages and checkpoints.

    Raises:
        ValueError: one of its tensors is not finite.
    """

    def __init__(self, model: nn.Module, image: ImagePreparation, source: str) -> None:
        wrong = nonfinite_tensor(model.state_dict().items())
        if wrong is not None:
            raise ValueError(f"the teacher {source} cannot teach: {wrong} is not finite")
        self.model = model.eval()
        self.prepare = Prepare(image)
        self.source = source
        self.score: Callable[[Tensor], Tensor] = self.model

    def __deepcopy__(self, memo: dict[int, Any]) -> "Teacher":
        return self

    def compile(self) -> None:
        """Compiles it; slow at first, faster then."""
        self.score = torch.compile(self.model)

    def to(self, device: torch.device) -> None:
        """Moves it to the student's device."""
        self.model.to(device)
        self.prepare.to(device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Scores (N, classes) of pixels, uint8 (N, C, H, W)."""
        return self.score(self.prepare(pixels))

    def fingerprint(self) -> str:
        """SHA-256 of its state dict, so that a resumed run learns from the same network."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)} ".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def find_teacher(stage: Stage, dataset: Dataset, given: nn.Module | None, *, ahead: bool = False) -> Teacher | None:
    """The teacher of a stage; None where its loss has no use for one.

    Args:
        stage: whose `teacher` names an earlier stage or a run directory, or is null.
        dataset: the images that both see.
        given: a network, for a recipe that names none.
        ahead: whether earlier stages are still to be trained; a teacher among them is then None.

    Raises:
        ValueError: there is none and there should be, or the other way round; the run is missing or damaged; it knows
            other classes, images of another size, or numbers that are not finite.
    """
    source, loss = stage.recipe.teacher, stage.recipe.loss
    if not loss.needs_teacher:
        if source is not None:
            raise ValueError(
                f"teacher {source} has nothing to teach; set the weight of a term such as loss.distribution, or "
                "teacher: null"
            )
        return None
    if source is None and given is None:
        raise ValueError(
            "the loss compares with a teacher; set teacher to a run directory or an earlier stage, or in Python pass "
            "train(..., teacher=network)"
        )
    if source is None:
        assert given is not None
        return Teacher(given, dataset.image, type(given).__name__)
    if source in stage.before:
        if ahead:
            return None
        run = load_run(stage.run, stage=source)
    else:
        run = _run(source, stage)
    if run.labels != dataset.classes:
        raise ValueError(
            f"teacher {source} knows {len(run.labels)} classes ({', '.join(run.labels[:3])}, ...) and {dataset.name} "
            f"has {len(dataset.classes)} ({', '.join(dataset.classes[:3])}, ...); take a teacher of the same classes"
        )
    if run.image.shape != dataset.image.shape:
        sizes = ["x".join(map(str, image.shape)) for image in (run.image, dataset.image)]
        raise ValueError(f"teacher {source} takes {sizes[0]} images and those of {dataset.name} are {sizes[1]}")
    return Teacher(run.model, run.image, source)


def _run(source: str, stage: Stage) -> Run:
    if not Path(source).is_dir():
        earlier = f" and no earlier stage ({', '.join(stage.before)})" if stage.before else ""
        raise ValueError(f"teacher {source} is no run directory{earlier}; train one, or set teacher to where it is")
    return load_run(source)
