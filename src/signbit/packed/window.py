"""The geometry of a sliding window: kernel, stride, padding per side, dilation."""

from dataclasses import dataclass

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import GraphError


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window over (height, width); `padding` is (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def taps(self) -> int:
        """Number of positions under the window."""
        return self.kernel[0] * self.kernel[1]

    def output(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the result for an input of `shape` (C, H, W).

        Raises:
            GraphError: a size that is not positive, or a window larger than the padded input.
        """
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise GraphError(f"kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} must be positive")
        if len(shape) != 3:
            raise GraphError(f"a window needs an input of (channels, height, width), got {shape}")
        reach = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        if self.padding[0] > reach[0] or self.padding[2] > reach[0] or max(self.padding[1::2]) > reach[1]:
            raise GraphError(f"padding {self.padding} is wider than the kernel {self.kernel} reaches")
        height = shape[1] + self.padding[0] + self.padding[2] - reach[0] - 1
        width = shape[2] + self.padding[1] + self.padding[3] - reach[1] - 1
        if height < 0 or width < 0:
            raise GraphError(f"kernel {self.kernel} is larger than the padded input {shape[1]}x{shape[2]}")
        return height // self.stride[0] + 1, width // self.stride[1] + 1

    def patches(self, x: Array, fill: float) -> Array:
        """All windows of `x` (N, C, H, W), padded with `fill`: a view (N, C, H', W', kernel height, kernel width)."""
        top, left, bottom, right = self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        views = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        (sy, sx), (dy, dx) = self.stride, self.dilation
        return views[:, :, ::sy, ::sx, ::dy, ::dx]
