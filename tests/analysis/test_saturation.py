import pytest
import torch
from torch import nn

from signbit.analysis import SaturationCounter
from signbit.nn import BinaryConv2d, BinaryLinear, RSign

VALUES = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
"""optimizers.md 4.2; the surrogate gradient is 0 at both ends and, at ±1, just still counted as inside."""


def test_the_values_of_the_spec() -> None:
    model = BinaryLinear(7, 2)
    with SaturationCounter(model) as counter:
        model(torch.tensor([VALUES]))
    (saturation,) = counter.read().values()
    assert saturation.total == 2 / 7
    assert saturation.channels.tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert counter.read() == {}


def test_layers_channels_and_passes() -> None:
    model = nn.Sequential(BinaryConv2d(2, 4, 3), nn.BatchNorm2d(4), BinaryConv2d(4, 3, 1))
    counter = SaturationCounter(model, limit=0.5)
    images = torch.zeros(2, 2, 3, 3)
    images[0, 1] = 0.6
    model.eval()(images)
    model(torch.zeros(1, 2, 3, 3))
    counter.remove()
    model(torch.ones(1, 2, 3, 3))
    found = counter.read()
    assert found.keys() == {"0.input_quantizer", "2.input_quantizer"}
    assert found["0.input_quantizer"].total == pytest.approx(9 / 54)
    assert found["0.input_quantizer"].channels.tolist() == pytest.approx([0, 9 / 27])
    # Eighteen products beyond one half each, which batch norm leaves as they are.
    assert found["2.input_quantizer"].total == 1.0


def test_a_learned_shift_counts() -> None:
    model = RSign(2)
    with torch.no_grad():
        model.shift[1] = 1.5
    with SaturationCounter(model) as counter:
        model(torch.zeros(3, 2, 5))
    assert counter.read()["quantizer"].channels.tolist() == [0, 1]


def test_the_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="limit must be > 0, got 0"):
        SaturationCounter(BinaryLinear(2, 2), limit=0)
