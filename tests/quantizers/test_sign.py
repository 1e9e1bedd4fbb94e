import numpy as np
import pytest
import torch

from signbit.packed import bits
from signbit.quantizers import sign, sign_with_surrogate, surrogates


def test_zero_is_plus_one():
    x = torch.tensor([-0.0, 0.0, 1e-45, -1e-45, torch.inf, -torch.inf, torch.nan, -torch.nan])
    assert sign(x).tolist() == [1, 1, 1, -1, 1, -1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65])
def test_dtype_and_size(dtype, size):
    x = torch.randn(size, generator=torch.Generator().manual_seed(size)).to(dtype)
    assert sign(x).dtype == dtype
    assert torch.equal(sign(x), torch.where(x < 0, -1, 1).to(dtype))


def test_leaves_its_input_and_its_layout_alone():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    before = x.clone()
    assert sign(x).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, before)
    assert not sign(x.requires_grad_()).requires_grad


def test_is_the_sign_of_the_packed_floor():
    x = np.array([-1.5, -0.0, 0.0, 2.0], dtype=np.float32)
    assert sign(torch.from_numpy(x)).tolist() == bits.sign(x).tolist()


@pytest.mark.parametrize(
    "surrogate", [surrogates.clip, surrogates.identity, surrogates.approx_sign, surrogates.swish_sign]
)
def test_forward_is_exact_and_backward_is_the_surrogate(surrogate):
    u = torch.cat([torch.randn(200), torch.tensor([0.0, -0.0, 1.0, -1.0, 1e9, -1e9])]).requires_grad_()
    gradient = torch.randn(206)
    code = sign_with_surrogate(u, surrogate)
    code.backward(gradient)
    assert torch.equal(code, sign(u))
    assert torch.equal(u.grad, gradient * surrogate(u.detach()))


def test_works_under_functional_gradients():
    u = torch.tensor([-2.0, -0.5, 0.5])
    gradient = torch.func.grad(lambda x: sign_with_surrogate(x, surrogates.approx_sign).sum())(u)
    assert gradient.tolist() == [0, 1, 1]
