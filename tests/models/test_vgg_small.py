import pytest
import torch
from torch import nn

from models.counts import counts
from signbit.models import create_model
from signbit.params import named_binary_parameters


def test_counts():
    net = counts("vgg_small")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (4_660_106, 4_571_136, 88_970)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (603_979_776, 0, 3_620_864)
    assert net.ops == 603_979_776 / 64 + 3_620_864
    assert round(net.ops / 1e8, 3) == 0.131
    assert round(net.mebibytes, 2) == 0.88


def test_layers():
    assert list(counts("vgg_small").layers.values()) == [
        (3_456, 3_538_944),
        (147_456, 150_994_944),
        (294_912, 75_497_472),
        (589_824, 150_994_944),
        (1_179_648, 75_497_472),
        (2_359_296, 150_994_944),
        (81_920, 81_920),
    ]


def test_batch_norm_behind_every_convolution_and_not_behind_the_classifier():
    model = create_model("vgg_small")
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 6
    assert type(list(model.modules())[-1]) is nn.Linear


def test_real_activations_reach_the_classifier_too():
    model = create_model("vgg_small", widths=(8, 16), size=8, quantizer=None)
    assert isinstance(model.get_submodule("classifier.act"), nn.ReLU)
    assert len(list(named_binary_parameters(model))) == 3
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_too_many_pools_are_refused():
    with pytest.raises(ValueError, match="4 pools leave nothing of 8x8 images"):
        create_model("vgg_small", size=8, widths=(8,) * 4)
