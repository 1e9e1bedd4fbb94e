"""What a network holds and does, from its packed graph at full size."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from signbit.export import to_graph
from signbit.models import create_model
from signbit.packed import ImagePreparation
from signbit.packed.report import inspect
from signbit.params import named_binary_parameters

NAMES = (
    "binary_alexnet",
    "binarynet",
    "binarynet_valid",
    "vgg_small",
    "resnet20_cifar",
    "resnet18_cifar",
    "birealnet18",
    "birealnet34",
    "react_resnet18",
    "react_resnet34",
    "xnornet_alexnet",
    "xnornet_alexnet_larq",
    "reactnet_a",
    "reactnet_b",
    "reactnet_c",
    "quicknet_small",
    "quicknet",
    "quicknet_large",
)

SMALL = {
    "binary": {"size": 64, "widths": (8, 16, 24, 24, 16), "hidden": (32, 32)},
    "xnornet": {"size": 64, "widths": (8, 16, 24, 24, 16), "hidden": (32, 32)},
    "reactnet": {"stem_width": 8, "widths": (16, 32), "depths": (1, 2)},
    "quicknet": {"widths": (16, 32, 64), "depths": (2, 1, 1)},
}
"""Options that keep the wiring of the largest networks; by the first word of their names."""


def small(name: str) -> dict[str, Any]:
    return SMALL.get(name.split("_")[0], {})


def side(name: str) -> int:
    return 224 if name.startswith(("bireal", "react", "quicknet", "xnor", "binary_alex")) else 32


@dataclass(frozen=True)
class Counts:
    """Totals of `specs/systems.md` §5.1, and (weights, MACs) of every layer that has weights."""

    parameters: int
    binary_weights: int
    binary_macs: int
    mixed_macs: int
    float_macs: int
    ops: float
    layers: dict[str, tuple[int, int]]

    @property
    def real_parameters(self) -> int:
        return self.parameters - self.binary_weights

    @property
    def mebibytes(self) -> float:
        return (self.binary_weights / 8 + 4 * self.real_parameters) / 2**20


@cache
def counts(name: str, **options: Any) -> Counts:
    model = create_model(name, **options)
    size = options.get("size", side(name))
    report = inspect(to_graph(model, image=ImagePreparation(height=size, width=size)))
    own = sum(parameter.numel() for _, parameter in named_binary_parameters(model))
    assert own == report.binary_weights
    return Counts(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        binary_weights=own,
        binary_macs=report.binary_macs,
        mixed_macs=report.mixed_macs,
        float_macs=report.float_macs,
        ops=report.ops,
        layers={
            row.name: (row.weights, row.binary_macs + row.mixed_macs + row.float_macs)
            for row in report.rows
            if row.weights
        },
    )
