"""What a layer must survive: copies, assigned states, pruning, half precision, compilation."""

import copy

import pytest
import torch
import torch._dynamo.testing
from torch import nn
from torch.nn.utils import prune

from signbit.nn import BinaryConv2d, BinaryLayer, BinaryLinear, RPReLU, RSign
from signbit.quantizers import schedule_quantizers, sign


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        BinaryConv2d(3, 8, 3, padding=1, input_quantizer=None),
        nn.BatchNorm2d(8),
        BinaryConv2d(8, 8, 3, padding="same", weight_quantizer="ede(scale=mean)", input_quantizer="approxsign"),
        RSign(8),
        RPReLU(8),
        nn.Flatten(),
        BinaryLinear(200, 10, True, weight_quantizer="sign(scale=mean, scale_gradient=full)"),
    )


def gradients(net, x):
    net.zero_grad()
    net(x).square().sum().backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


def test_deepcopy_and_assign_compute_the_same():
    net, x = network().eval(), torch.randn(2, 3, 5, 5)
    twin = copy.deepcopy(net)
    assert torch.equal(net(x), twin(x))
    fresh = network().eval()
    fresh.load_state_dict(net.state_dict(), assign=True)
    assert torch.equal(net(x), fresh(x))
    assert fresh[2].weight is not net[2].weight


def test_pruned_weights_are_plus_one():
    layer = BinaryLinear(65, 7)
    prune.random_unstructured(layer, "weight", 0.5)
    x = torch.randn(3, 65)
    assert torch.equal(layer(x), nn.functional.linear(sign(x), sign(layer.weight_orig * layer.weight_mask)))


def test_autocast_keeps_small_sums_exact():
    layer, x = BinaryLinear(256, 7), torch.randn(3, 256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x)
    assert low.dtype == torch.bfloat16
    assert torch.equal(low.float(), layer(x))


def test_layers_are_found_by_their_base():
    assert [isinstance(module, BinaryLayer) for module in network()] == [True, False, True, False, False, False, True]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the compiler itself
def test_compiles_once_and_computes_the_same():
    net, x = network(), torch.randn(2, 3, 5, 5)
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for progress in (0.0, 0.7, 1.0):
        schedule_quantizers(net, progress)
        for mine, eager in zip(gradients(compiled, x), gradients(net, x), strict=True):
            torch.testing.assert_close(mine, eager, rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 1
    inner = net[:2](x).detach()
    assert torch.equal(torch.compile(net[2].dot)(inner), net[2].dot(inner))
