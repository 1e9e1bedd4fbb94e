"""Losses of a recipe, and the teachers they compare with."""

import copy
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit import losses, recipes
from signbit.data import load
from signbit.data.augment import Augmentation
from signbit.models import create_model
from signbit.training import LossConfig, ModelConfig, Recipe, Result, TrainingError, override, resume, train
from signbit.training.objective import Objective
from signbit.training.teacher import Teacher

DIGITS = load("digits", split="train")
PIXELS, LABELS = torch.from_numpy(DIGITS.images[:6]), torch.from_numpy(DIGITS.labels[:6])


def network() -> nn.Module:
    return create_model("resnet20_cifar", in_chans=1, widths=[4, 8], depths=[1, 1]).eval()


def everything(student: nn.Module, other: nn.Module, teacher: Teacher) -> list[list[Tensor]]:
    """The maps that both networks name themselves."""
    kept = [losses.Maps(net, ["stem", "stage1", "stage2"]) for net in (student, other)]
    for net in (student, other):
        net(teacher.prepare(PIXELS))
    return [maps.take() for maps in kept]


@pytest.fixture
def small() -> Recipe:
    words = ["--epochs=1", "--batch_size=300", "--model.options.widths=[8,8,8]", "--model.options.hidden=16"]
    return override(recipes.get("digits", "adam"), words)


def test_terms_are_weighted_and_added() -> None:
    student, other = network(), network()
    teacher = Teacher(other, DIGITS.image, "it")
    scores, expected = student(teacher.prepare(PIXELS)), other(teacher.prepare(PIXELS))

    def value(**terms: object) -> Tensor:
        objective = Objective(LossConfig(**terms), student, teacher)  # type: ignore[arg-type]
        return objective(student(teacher.prepare(PIXELS)), LABELS, PIXELS)

    hard, soft = F.cross_entropy(scores, LABELS), losses.distribution_loss(scores, expected)
    torch.testing.assert_close(value(distribution=0.5), hard + 0.5 * soft)
    torch.testing.assert_close(value(labels=0.0, distribution=1.0), soft)
    torch.testing.assert_close(value(labels=2.0, kind="squared-hinge"), 2 * losses.squared_hinge(scores, LABELS))
    torch.testing.assert_close(value(smoothing=0.1), F.cross_entropy(scores, LABELS, label_smoothing=0.1))
    hinton = losses.distillation_loss(scores, expected, temperature=2.0)
    torch.testing.assert_close(value(labels=0.0, distillation=3.0, temperature=2.0), 3 * hinton)
    names = ["stage1.0", "stage2"]
    kept = [losses.Maps(net, names) for net in (student, other)]
    for net in (student, other):
        net(teacher.prepare(PIXELS))
    own, others = (maps.take() for maps in kept)
    attention, blocks = losses.attention_loss(own, others, norm="max"), losses.block_loss(own, others)
    torch.testing.assert_close(value(labels=0.0, attention=2.0, attention_norm="max", maps=names), 2 * attention)
    torch.testing.assert_close(
        value(attention=1.0, attention_norm="max", blocks=3.0, maps=names, teacher_maps=names),
        hard + attention + 3 * blocks,
    )
    torch.testing.assert_close(value(labels=0.0, blocks=1.0), losses.block_loss(*everything(student, other, teacher)))


def test_a_teacher_is_frozen_and_stays_out_of_the_checkpoint(small: Recipe, tmp_path: Path) -> None:
    teacher = create_model("digits_cnn", binary=False).train()
    before = copy.deepcopy(teacher.state_dict())
    taught = replace(small, loss=LossConfig(labels=0.0, distribution=1.0), ema=0.9, accumulate=2)
    mixed = replace(taught, data=replace(small.data, augmentation=Augmentation(mixup=0.5, cutmix=0.5)))
    result = train(mixed, tmp_path / "run", progress=False, teacher=teacher)
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert [name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])] == []
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (
        checkpoint["state_dict"].keys()
        == {f"model.{name}" for name in create_model("digits_cnn").state_dict()}
        == checkpoint["current_model_state"].keys()
    )
    assert len(checkpoint["teacher"]) == 64
    assert math.isfinite(result.metrics["train_loss"])
    with pytest.raises(ValueError, match="the loss compares with a teacher; set teacher to a run directory"):
        resume(tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="has learnt from another teacher; give it back"):
        resume(tmp_path / "run", progress=False, teacher=create_model("digits_cnn", binary=False))
    assert resume(tmp_path / "run", progress=False, teacher=teacher).metrics == result.metrics


def test_a_run_teaches_with_its_own_preparation_of_images(trained: Result, small: Recipe, tmp_path: Path) -> None:
    taught = replace(small, loss=LossConfig(distillation=1.0), teacher=str(trained.path))
    assert train(taught, tmp_path / "run", progress=False).metrics["train_loss"] > 0


class Five(nn.Module):
    """A network of five classes."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :5]


class NaN(nn.Module):
    """Gives numbers at first."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.flatten(1)[:, :10] * (1 if self.calls < 3 else float("nan"))


def broken() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(net[1].bias, float("nan"))
    return net


TAUGHT = LossConfig(distribution=1.0)


@pytest.mark.parametrize(
    ("changes", "teacher", "message"),
    [
        ({}, Five, r"scores of one shape, got \(1, 10\) and \(1, 5\); take a teacher of the same classes"),
        ({}, broken, r"the teacher Sequential cannot teach: 1\.bias is not finite"),
        ({}, lambda: nn.Linear(3, 10), r"the teacher cannot take the 1x8x8 images of digits train \(mat1 and mat2"),
        ({"teacher": "runs/none"}, None, "teacher runs/none is no run directory; train one"),
        ({"teacher": "x", "loss": LossConfig()}, None, "teacher x has nothing to teach; set the weight of a term"),
        ({"loss": LossConfig()}, Five, "teacher= has nothing to teach"),
        ({}, None, r"the loss compares with a teacher; .* or in Python pass train\(\.\.\., teacher=network\)"),
        ({"loss": LossConfig(blocks=1.0)}, Five, "loss.maps: Sequential does not say which feature maps it has"),
        (
            {"loss": LossConfig(blocks=1.0, maps=["stage3"])},
            Five,
            r"loss\.maps: .* no module 'stage3'; did you mean stage",
        ),
        (
            {"loss": LossConfig(blocks=1.0, maps=["stem"])},
            Five,
            r"loss\.teacher_maps: the network has no module 'stem'",
        ),
    ],
)
def test_teachers_that_cannot_teach(
    small: Recipe, tmp_path: Path, changes: dict[str, object], teacher: type[nn.Module] | None, message: str
) -> None:
    recipe = replace(small, **{"loss": TAUGHT} | changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        train(recipe, tmp_path / "run", progress=False, teacher=None if teacher is None else teacher())
    assert not (tmp_path / "run").exists()


def test_a_run_of_other_classes_or_images_cannot_teach(trained: Result, small: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "teacher"
    shutil.copytree(trained.path, run)
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    recipe = replace(small, loss=TAUGHT, teacher=str(run))
    torch.save(checkpoint | {"labels": list("abcdefghij")}, path)
    with pytest.raises(ValueError, match=r"knows 10 classes \(a, b, c, \.\.\.\) and digits train has 10 \(0, 1, 2"):
        train(recipe, tmp_path / "run", progress=False)
    torch.save(checkpoint | {"image": checkpoint["image"] | {"height": 9}}, path)
    with pytest.raises(ValueError, match="takes 1x9x8 images and those of digits train are 1x8x8"):
        train(recipe, tmp_path / "run", progress=False)


def test_a_teacher_that_goes_astray_is_named(small: Recipe, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"the loss is nan at epoch 1, .*: the teacher NaN gives scores that are not"
    ):
        train(replace(small, loss=TAUGHT), tmp_path / "run", progress=False, teacher=NaN())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": -1.0}, r"loss\.labels must be a finite weight >= 0, got -1"),
        ({"attention": float("inf")}, r"loss\.attention must be a finite weight"),
        ({"labels": 0.0}, "loss has no term"),
        ({"smoothing": 1.0}, "must be within 0..1, and below 1, got 1"),
        ({"smoothing": 0.1, "kind": "squared-hinge"}, "is of the cross-entropy"),
        ({"temperature": 0.0}, "temperature must be > 0"),
    ],
)
def test_values_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossConfig(**values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_term_in_the_fast_mode(tmp_path: Path) -> None:
    loss = LossConfig(smoothing=0.1, distribution=1.0, distillation=1.0, attention=1.0, blocks=1.0)
    options = {"widths": [4, 8], "depths": [1, 1]}
    recipe = replace(
        recipes.get("digits", "adam"),
        model=ModelConfig(name="resnet20_cifar", options=options),
        loss=loss,
        epochs=1,
        mode="fast",
        accumulate=2,
        ema=0.9,
    )
    result = train(recipe, tmp_path / "run", progress=False, teacher=network())
    assert math.isfinite(result.metrics["train_loss"])
    exact = train(replace(recipe, mode="exact"), tmp_path / "exact", progress=False, teacher=network())
    assert result.metrics["train_loss"] == pytest.approx(exact.metrics["train_loss"], rel=0.1)
