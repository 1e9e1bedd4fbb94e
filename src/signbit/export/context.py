"""What a lowering rule works with, and the signs that all rules share."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Builder, Value
from signbit.export.error import ExportError
from signbit.export.fold import fold
from signbit.export.steps import Flatten, Function, MaxPool, Scaling
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, WeightFormat
from signbit.packed.image import ImagePreparation
from signbit.quantizers import Quantizer, sign


@dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """The growing graph and the choices of the export.

    Attributes:
        builder: emits nodes.
        image: preparation of the input.
        stem: number format of real weights that read the image.
        dense: number format of all other real weights.
        ranges: largest magnitude that each real layer reads, by path; for `dense="int8"`.
    """

    builder: Builder
    image: ImagePreparation
    stem: WeightFormat = "float32"
    dense: WeightFormat = "float32"
    ranges: dict[str, float] = field(default_factory=dict)

    def sign(self, x: Value, quantizer: Function, path: str) -> Value:
        """The bits of x: a Threshold where x comes from integers, else a Sign of real numbers.

        Args:
            x: any value.
            quantizer: a `Quantizer`, or a function that is the sign.
            path: name of the node.
        """
        if isinstance(quantizer, Quantizer):
            _expect_sign(quantizer, path)
        builder = self.builder
        moved = all(isinstance(step, MaxPool | Flatten) for step in x.steps)
        if moved and builder.edges[x.source] == Bits(builder.edges[x.source].shape):
            return builder.value(builder.emit(x))
        if (known := builder.signs.get((x.source, x.steps))) is None:
            known = fold(builder, x, quantizer, path) or self._sign_of_reals(x, path)
            builder.signs[x.source, x.steps] = known
        return known

    def _sign_of_reals(self, x: Value, path: str) -> Value:
        shift, moves = None, []
        while x.steps and isinstance(x.steps[-1], MaxPool | Flatten) and (x.source, x.steps) not in self.builder.shared:
            moves.append(x.steps[-1])
            x = Value(x.source, x.shape, x.steps[:-1])
        if x.steps and isinstance(last := x.steps[-1], Scaling) and last.border is None and np.all(last.scale == 1):
            shift = last.offset.astype(np.float32)
            x = Value(x.source, x.shape, x.steps[:-1])
        source = self.builder.number(x, path)
        bits = self.builder.add(n.Sign, path, source, shift=shift)
        for move in reversed(moves):
            bits = move.emit(self.builder, bits)
        return self.builder.value(bits)


def _expect_sign(quantizer: Quantizer, path: str) -> None:
    """Checks that a quantizer, which may be anybody's, is the sign of each single value."""
    magnitudes = torch.logspace(-30, 10, 81)
    probe = torch.cat([-magnitudes, magnitudes, torch.zeros(1), -torch.zeros(1)]).view(-1, 1, 1, 1)
    with torch.no_grad():
        code: Tensor = quantizer(probe)
    if not torch.equal(code, sign(probe)):
        raise ExportError(
            f"{path}: {type(quantizer).__name__} is not the sign of each single value, so its bits cannot be packed; "
            "shift the input by a module before it (RSign), or use one of signbit.quantizers"
        )
