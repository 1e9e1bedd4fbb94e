import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from signbit.nn import BinaryConv2d, BinaryLinear
from signbit.params import BinaryOwner, named_binary_parameters, named_real_weights


def model():
    return nn.Sequential(nn.Linear(4, 6), BinaryLinear(6, 5, bias=True), nn.BatchNorm1d(5), BinaryLinear(5, 3))


def names(module):
    return [name for name, _ in named_binary_parameters(module)]


def test_only_the_weights_of_binary_layers():
    net = model()
    assert names(net) == ["1.weight", "3.weight"]
    parameters = dict(net.named_parameters())
    assert all(parameters[name] is parameter for name, parameter in named_binary_parameters(net))


def test_a_layer_on_its_own():
    assert names(BinaryConv2d(3, 4, 3)) == ["weight"]


def test_a_real_weight_is_not_binary():
    layer = BinaryLinear(6, 5, bias=True, weight_quantizer=None)
    assert names(layer) == []
    assert list(named_real_weights(layer)) == [("weight", layer.weight)]
    assert list(named_real_weights(model())) == []


def test_shared_tensors_and_modules_come_once():
    first = BinaryLinear(4, 4)
    second = BinaryLinear(4, 4)
    second.weight = first.weight
    assert names(nn.Sequential(first, second, first)) == ["0.weight"]


def test_survives_deepcopy_and_assign():
    net = model()
    twin = copy.deepcopy(net)
    assert names(twin) == names(net)
    twin.load_state_dict({key: value.clone() for key, value in net.state_dict().items()}, assign=True)
    assert names(twin) == names(net)
    assert dict(named_binary_parameters(twin))["1.weight"] is twin[1].weight


def test_pruned_weight_orig_counts():
    net = model()
    prune.random_unstructured(net[1], "weight", 0.5)
    assert names(net) == ["1.weight_orig", "3.weight"]
    assert dict(named_binary_parameters(net))["1.weight_orig"] is net[1].weight_orig
    net(torch.randn(7, 4)).sum().backward()
    assert net[1].weight_orig.grad is not None
    prune.remove(net[1], "weight")
    assert names(net) == ["1.weight", "3.weight"]


def test_any_owner_is_asked():
    class Table(BinaryOwner):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.ones(3))
            self.shift = nn.Parameter(torch.zeros(3))

        def binary_parameters(self):
            return ("table",)

        def real_weights(self):
            return ("shift",)

    assert [name for name, _ in named_real_weights(Table())] == ["shift"]
    assert names(nn.ModuleDict({"a": Table()})) == ["a.table"]


def test_a_hidden_tensor_is_named():
    net = model()
    nn.utils.parametrizations.weight_norm(net[1])
    with pytest.raises(ValueError, match=r"1: its binary tensor 'weight' is not a parameter"):
        names(net)
