"""The domain matters when weights are sparse: sparse.md §1.9 and check 6 of §1.11, on shifted, noisy digits."""

import pytest
import torch
from torch import nn

from signbit.nn import BinaryConv2d
from signbit.quantizers import schedule_quantizers

STEPS, BATCH = 800, 64


def views(images, generator):
    """The 8 x 8 digits somewhere on a canvas of 12 x 12, with noise."""
    canvas = 0.2 * torch.randn(len(images), 1, 12, 12, generator=generator)
    top, left = torch.randint(0, 5, (2, len(images)), generator=generator)
    for image, place, y, x in zip(images, canvas, top.tolist(), left.tolist(), strict=True):
        place[0, y : y + 8, x : x + 8] += image
    return canvas


def network(weight_quantizer):
    layers = [nn.Conv2d(1, 16, 3, padding=1, bias=False)]
    for channels, filters, stride in ((16, 32, 1), (32, 32, 2), (32, 32, 1)):
        conv = BinaryConv2d(
            channels, filters, 3, stride, 1, weight_quantizer=weight_quantizer, input_quantizer="ede", pad_value=-1
        )
        layers += [nn.BatchNorm2d(channels), nn.Hardtanh(), conv]
    layers += [nn.BatchNorm2d(32), nn.Hardtanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(32)]
    return nn.Sequential(*layers, nn.Linear(32, 10))


def accuracy(weight_quantizer):
    """Percent of 1500 views of unseen digits, after 800 steps of Adam."""
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = (torch.from_numpy(array) for array in datasets.load_digits(return_X_y=True))
    images = images.float().view(-1, 8, 8) / 8 - 1
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = network(weight_quantizer)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        schedule_quantizers(model, step / STEPS)
        chosen = torch.randint(0, 1297, (BATCH,), generator=generator)
        loss = nn.functional.cross_entropy(model(views(images[chosen], generator)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine.step()
    unseen = torch.randint(1297, 1797, (1500,), generator=generator)
    with torch.no_grad():
        right = model.eval()(views(images[unseen], generator)).argmax(1) == labels[unseen]
    return 100 * right.float().mean().item()


@pytest.mark.slow
def test_two_levels_beat_signs_at_equal_density_and_fall_with_it():
    found = [accuracy(f"twolevel(density={density})") for density in (0.5, 0.1, 0.05, 0.02)]
    signs = accuracy("twolevel(values=signs, density=0.05)")
    assert found == sorted(found, reverse=True)
    assert found[2] > signs + 20
