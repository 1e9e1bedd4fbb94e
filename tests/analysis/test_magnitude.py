import pytest
import torch

from signbit.analysis import channel_magnitude, magnitude_spread


def test_the_value_of_the_spec() -> None:
    # optimizers.md 4.2: the scale of AdamBNN's weights is their CAM.
    assert channel_magnitude(torch.tensor([[0.5, -1.5, 1.0, -0.25]])).tolist() == [0.8125]


def test_filters_of_a_convolution() -> None:
    weight = torch.zeros(2, 3, 3, 3)
    weight[0, 1] = -2.0
    weight[1] = 3.0
    assert channel_magnitude(weight).tolist() == pytest.approx([2 / 3, 3.0])
    # Over all filters, not estimated from them: half the distance of two.
    assert magnitude_spread(weight) == pytest.approx((3 - 2 / 3) / 2)
    assert magnitude_spread(-weight) == magnitude_spread(weight)
    assert magnitude_spread(torch.ones(4, 7)) == 0
