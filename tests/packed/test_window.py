import numpy as np
import pytest

from signbit.packed import GraphError, Window

WINDOWS = [
    Window(kernel=(1, 1)),
    Window(kernel=(3, 2), stride=(2, 1)),
    Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
    Window(kernel=(3, 3), padding=(2, 0, 1, 2), stride=(1, 3)),
    Window(kernel=(2, 3), dilation=(3, 2), padding=(1, 2, 3, 4)),
    Window(kernel=(7, 9)),
]


@pytest.mark.parametrize("window", WINDOWS)
def test_patches_are_the_values_under_the_window(window):
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 7, 9)).astype(np.float64)
    height, width = window.output(x.shape[1:])
    patches = window.patches(x, 5)
    assert patches.shape == (2, 3, height, width, *window.kernel)
    assert window.taps == patches[0, 0, 0, 0].size
    for y in range(height):
        for z in range(width):
            for i in range(window.kernel[0]):
                for j in range(window.kernel[1]):
                    row = y * window.stride[0] - window.padding[0] + i * window.dilation[0]
                    column = z * window.stride[1] - window.padding[1] + j * window.dilation[1]
                    inside = 0 <= row < 7 and 0 <= column < 9
                    expected = x[:, :, row, column] if inside else np.full((2, 3), 5)
                    np.testing.assert_array_equal(patches[:, :, y, z, i, j], expected)


@pytest.mark.parametrize(
    ("window", "shape", "message"),
    [
        (Window(kernel=(0, 1)), (1, 4, 4), "must be positive"),
        (Window(kernel=(1, 1), stride=(0, 1)), (1, 4, 4), "must be positive"),
        (Window(kernel=(1, 1), dilation=(1, -1)), (1, 4, 4), "must be positive"),
        (Window(kernel=(3, 3), padding=(0, -1, 0, 0)), (1, 4, 4), "must be positive"),
        (Window(kernel=(1, 1)), (4,), "needs an input of"),
        (Window(kernel=(3, 3), padding=(3, 0, 0, 0)), (1, 4, 4), "wider than the kernel"),
        (Window(kernel=(3, 3), padding=(0, 0, 0, 3)), (1, 4, 4), "wider than the kernel"),
        (Window(kernel=(5, 1)), (1, 4, 4), "larger than the padded input"),
        (Window(kernel=(1, 3), dilation=(1, 2)), (1, 4, 4), "larger than the padded input"),
        (Window(kernel=(2**52, 2**52), padding=(2**51,) * 4), (1, 4, 4), None),
    ],
)
def test_impossible_windows(window, shape, message):
    if message is None:
        assert window.output(shape) == (5, 5)
        return
    with pytest.raises(GraphError, match=message):
        window.output(shape)
