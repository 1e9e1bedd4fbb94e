import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signbit.nn import BinaryLinear
from signbit.quantizers import sign


@pytest.mark.parametrize("features", [1, 63, 64, 65, 1000])
def test_is_the_product_of_signs(features):
    torch.manual_seed(features)
    layer = BinaryLinear(features, 7)
    x = torch.randn(5, features)
    assert torch.equal(layer(x), F.linear(sign(x), sign(layer.weight)))
    assert torch.equal(layer(x[0]), layer(x)[0])
    assert torch.equal(layer(x[:, None]), layer(x)[:, None])


def test_no_input_features_give_zero():
    with pytest.warns(UserWarning, match="zero-element"):
        layer = BinaryLinear(0, 3)
    assert torch.equal(layer(torch.empty(2, 0)), torch.zeros(2, 3))


def test_scale_and_bias():
    torch.manual_seed(0)
    layer = BinaryLinear(65, 7, True, weight_quantizer="sign(scale=mean)")
    x = torch.randn(5, 65)
    expected = layer.dot(x) * layer.weight.detach().abs().mean(1) + layer.bias
    torch.testing.assert_close(layer(x), expected)
    assert layer.state_dict().keys() == nn.Linear(65, 7).state_dict().keys()


def test_bfloat16_keeps_its_dtype():
    layer = BinaryLinear(64, 7, dtype=torch.bfloat16)
    assert layer(torch.randn(5, 64, dtype=torch.bfloat16)).dtype == torch.bfloat16
