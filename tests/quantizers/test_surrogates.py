from functools import partial

import pytest
import torch

from signbit.quantizers import surrogates

U = torch.tensor([-1.25, -1, -0.75, -0.5, -0.25, 0, 0.5, 1, 1.25], dtype=torch.float64)


def ede(t):
    return lambda u: surrogates.ede(u, torch.tensor(t, dtype=torch.float64))


GOLDEN = [
    (surrogates.clip, [0, 1, 1, 1, 1, 1, 1, 1, 0]),
    (partial(surrogates.clip, c=1.25), [1] * 9),
    (partial(surrogates.clip, c=1.3), [1] * 9),
    (surrogates.identity, [1] * 9),
    (surrogates.approx_sign, [0, 0, 0.5, 1, 1.5, 2, 1, 0, 0]),
    (
        surrogates.swish_sign,
        [-0.08127, -0.1950, -0.3542, -0.08462, 2.262, 5, -0.08462, -0.1950, -0.08127],
    ),
    (ede(0.1), [0.9845, 0.9901, 0.9944, 0.9975, 0.9994, 1, 0.9975, 0.9901, 0.9845]),
    (ede(1.0), [0.2804, 0.4200, 0.5966, 0.7864, 0.9400, 1, 0.7864, 0.4200, 0.2804]),
    (ede(10.0), [5.6e-10, 8.2e-8, 1.2e-5, 0.001816, 0.2659, 10, 0.001816, 8.2e-8, 5.6e-10]),
    (surrogates.fourier, [-0.04449, -0.4116, 0.876, -1.273, 1.540, 6.366, -1.273, -0.4116, -0.04449]),
]


@pytest.mark.parametrize(("surrogate", "expected"), GOLDEN)
def test_golden_values(surrogate, expected):
    # The published figures have two to four digits.
    torch.testing.assert_close(surrogate(U), torch.tensor(expected, dtype=torch.float64), rtol=1e-2, atol=5e-5)


@pytest.mark.parametrize("surrogate", [entry[0] for entry in GOLDEN])
def test_even_and_pure(surrogate):
    before = U.clone()
    torch.testing.assert_close(surrogate(U), surrogate(-U), rtol=0, atol=0)
    assert torch.equal(U, before)


def test_integrals():
    u = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    assert torch.trapezoid(surrogates.approx_sign(u), u).item() == pytest.approx(2, abs=1e-6)
    assert torch.trapezoid(surrogates.clip(u, c=1.25), u).item() == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize(
    ("surrogate", "primitive"),
    [
        (surrogates.approx_sign, lambda x: torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)),
        (ede(0.3), lambda x: torch.tanh(0.3 * x) / 0.3),
        (ede(4.0), lambda x: torch.tanh(4 * x)),
    ],
)
def test_slopes_of_their_primitives(surrogate, primitive):
    u = torch.linspace(-0.99, 0.99, 50, dtype=torch.float64)
    slope = (primitive(u + 1e-6) - primitive(u - 1e-6)) / 2e-6
    torch.testing.assert_close(surrogate(u), slope, rtol=1e-5, atol=1e-5)


def test_ede_temperature_is_the_published_schedule():
    fractions, expected = (0, 0.25, 0.5, 0.75, 1), (0.001, 0.01, 0.1, 1, 10)
    for fraction, temperature in zip(fractions, expected, strict=True):
        assert surrogates.ede_temperature(fraction) == pytest.approx(temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("c", [1.0, 1.25, 1.3])
def test_clip_is_the_same_when_compiled(c, dtype, monkeypatch):
    bound = torch.tensor([c, -c, 0.0, 1e30], dtype=dtype)
    u = torch.cat([bound, torch.nextafter(bound, bound * 2), torch.nextafter(bound, bound * 0)])
    expected = surrogates.clip(u, c=c)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(surrogates.clip(u, c=c), expected)
