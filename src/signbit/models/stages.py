"""What networks of stages have in common: the stages themselves, and the head behind them."""

from collections.abc import Callable, Sequence

from torch import nn

from signbit.models.network import Feature

__all__ = ["expect_stages", "make_head", "make_stages"]


def expect_stages(widths: Sequence[int], depths: Sequence[int]) -> None:
    """Raises `ValueError` unless every stage has a width and a depth >= 1."""
    if not len(widths) == len(depths) >= 1 or min(depths) < 1:
        raise ValueError(f"widths {tuple(widths)} and depths {tuple(depths)} need one number >= 1 for each stage")


def make_stages(
    inputs: int,
    widths: Sequence[int],
    depths: Sequence[int],
    block: Callable[[int, int, int], nn.Module],
    reduction: int,
) -> tuple[dict[str, nn.Module], list[Feature]]:
    """One block after another; the first of every stage but the first halves the map.

    Args:
        inputs: channels in front of the first stage.
        widths: channels of the stages.
        depths: blocks of the stages.
        block: (inputs, outputs, stride) → module.
        reduction: pixels per position of the map in front.

    Returns:
        Stages by name, and their feature maps.
    """
    stages: dict[str, nn.Module] = {}
    features = []
    for i, (outputs, depth) in enumerate(zip(widths, depths, strict=True)):
        stride = 1 if i == 0 else 2
        rest = [block(outputs, outputs, 1) for _ in range(depth - 1)]
        stages[f"stage{i + 1}"] = nn.Sequential(block(inputs, outputs, stride), *rest)
        reduction *= stride
        features.append(Feature(module=f"stage{i + 1}", channels=outputs, reduction=reduction))
        inputs = outputs
    return stages, features


def make_head(inputs: int, num_classes: int, *, norm: bool = False) -> dict[str, nn.Module]:
    """Global average pool and real classifier, with a batch norm between them where `norm` says so."""
    head: dict[str, nn.Module] = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    if norm:
        head["norm"] = nn.BatchNorm1d(inputs)
    return {**head, "fc": nn.Linear(inputs, num_classes)}
