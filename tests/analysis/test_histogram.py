import pytest
import torch
from torch import nn

from signbit.analysis import latent_histogram, latent_histograms
from signbit.nn import BinaryLinear


def test_every_weight_counts_once() -> None:
    found = latent_histogram(torch.tensor([-9.0, -1.0, -0.1, 0.0, 0.2, 1.0, 1.0, 9.0]), bins=3, limit=1.5)
    assert found.edges.tolist() == pytest.approx([-1.5, -0.5, 0.5, 1.5])
    assert found.counts.tolist() == [2, 3, 3]


def test_three_peaks_and_one() -> None:
    weights = torch.cat([torch.full((20,), -1.0), torch.zeros(50), torch.ones(30)])
    found = latent_histogram(weights)
    assert [found.near(value, width=0.05) for value in (-1, 0, 1)] == [0.2, 0.5, 0.3]
    even = latent_histogram(torch.linspace(-1, 1, 10_001), bins=60)
    assert even.near(0, width=0.05) == pytest.approx(0.05, abs=1e-3)


def test_the_binary_weights_of_a_model() -> None:
    model = nn.Sequential(BinaryLinear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    found = latent_histograms(model, bins=5)
    assert found.keys() == {"0.weight"}
    assert found["0.weight"].counts.sum() == 12


@pytest.mark.parametrize(
    ("options", "message"), [({"bins": 0}, "bins must be >= 1"), ({"limit": 0.0}, "limit must be > 0")]
)
def test_bad_arguments(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        latent_histogram(torch.ones(2), **options)  # type: ignore[arg-type]
