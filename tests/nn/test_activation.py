import pytest
import torch

from signbit.nn import BinaryConv2d, Hardtanh, RPReLU, RSign, Sign, TwoSlopePReLU

X = [-2, -0.3, 0, 0.3, 2]


def column(values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 1).requires_grad_()


def test_rsign_golden_values():
    layer, x = RSign(1), column(X)
    layer.shift.data.fill_(-0.5)
    code = layer(x)
    code.sum().backward()
    assert code.flatten().tolist() == [-1, -1, -1, -1, 1]
    assert x.grad.flatten().tolist() == pytest.approx([0, 0.4, 1.0, 1.6, 0])
    assert layer.shift.grad.item() == pytest.approx(3.0)


def test_rprelu_golden_values():
    layer = RPReLU(1)
    layer.shift_in.data.fill_(-0.5)
    layer.shift_out.data.fill_(0.25)
    assert layer(column(X)).flatten().tolist() == pytest.approx([-0.375, 0.05, 0.125, 0.2, 1.75])


def test_two_slope_golden_values():
    values = TwoSlopePReLU(1)(column([-2, -0.5, 0, 1.5]))
    assert values.flatten().tolist() == pytest.approx([-0.5, -0.125, 0, 1.5])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_hardtanh_is_torchs_also_compiled(dtype, monkeypatch):
    one = torch.tensor([1.0, -1.0], dtype=dtype)
    x = torch.cat([one, torch.nextafter(one, 2 * one), torch.nextafter(one, 0 * one), 0 * one, 3 * one])
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    results = []
    for layer in (torch.nn.Hardtanh(), Hardtanh()):
        leaf = x.clone().requires_grad_()
        output = layer(leaf)
        output.backward(torch.arange(1, 11, dtype=dtype))
        results.append((output, leaf.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("layer", [RSign(3), RPReLU(3), TwoSlopePReLU(3)])
def test_parameters_are_per_channel(layer):
    for parameter in layer.parameters():
        parameter.data = torch.tensor([0.1, -0.7, 0.4])
    x = torch.randn(2, 3, 5, 4)
    for single in (x[:, :, 0, 0], x[:, :, :, 0], x):
        assert layer(single).shape == single.shape
    assert torch.equal(layer(x)[:, :, 2, 1], layer(x[:, :, 2, 1]))


def test_new_rsign_is_the_sign():
    x = torch.randn(4, 3)
    assert torch.equal(RSign(3)(x), Sign()(x))


def test_a_sign_before_a_binary_layer_changes_nothing():
    torch.manual_seed(0)
    layer = BinaryConv2d(3, 4, 3, padding=1, input_quantizer="approxsign")
    twin = BinaryConv2d(3, 4, 3, padding=1)
    twin.weight = layer.weight
    x, y = torch.randn(2, 3, 5, 5, requires_grad=True), torch.empty(0)
    y = x.detach().clone().requires_grad_()
    layer(x).square().sum().backward()
    twin(Sign("approxsign")(y)).square().sum().backward()
    assert torch.equal(x.grad, y.grad)
