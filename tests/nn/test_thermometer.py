import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from signbit.nn import BinaryConv2d, ThermometerEncode
from signbit.packed import ImagePreparation

ALL = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)


def heights(layer, image):
    """How many planes of each channel are +1, of the pixels 0..255: (channels, 256)."""
    channels = image.shape[0]
    code = layer(torch.from_numpy(image.normalize(ALL.repeat(channels, axis=1))))
    assert code.shape == (1, layer.out_channels, 16, 16)
    assert torch.equal(code.abs(), torch.ones_like(code))
    planes = code.view(channels, layer.planes, 256)
    assert (planes[:, 1:] <= planes[:, :-1]).all()
    return (planes > 0).sum(dim=1).numpy()


def test_golden_counts():
    """systems.md §7.3, from 2012.12206."""
    layer, image = ThermometerEncode(3), ImagePreparation(height=16, width=16)
    assert (layer.planes, layer.out_channels) == (32, 96)
    for counts in heights(layer, image):
        assert counts[[0, 4, 5, 11, 12, 100, 251, 252, 255]].tolist() == [0, 0, 1, 1, 2, 12, 31, 32, 32]


def test_black_is_all_minus_one_and_white_all_plus_one():
    layer = ThermometerEncode(1)
    assert torch.equal(layer(torch.full((2, 1, 3, 3), -1.0)), -torch.ones(2, 32, 3, 3))
    assert torch.equal(layer(torch.full((2, 1, 3, 3), 1.0)), torch.ones(2, 32, 3, 3))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(
    resolution=st.integers(1, 255),
    mean=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    std=st.lists(st.floats(0.01, 3), min_size=3, max_size=3),
)
def test_normalised_images_give_the_code_of_their_pixels(resolution, mean, std):
    layer = ThermometerEncode(3, resolution=resolution)
    layer.set_normalization(mean, std)
    image = ImagePreparation(height=16, width=16, mean=tuple(mean), std=tuple(std))
    expected = [round(pixel / resolution) for pixel in range(256)]
    assert heights(layer, image).tolist() == [expected] * 3


def test_the_state_dict_brings_the_normalisation():
    image = ImagePreparation(height=16, width=16, mode="L", mean=(0.1,), std=(0.3,))
    layer = ThermometerEncode(1)
    layer.load_state_dict(ThermometerEncode(1, mean=image.mean, std=image.std).state_dict())
    assert heights(layer, image)[0, [11, 12, 251]].tolist() == [1, 2, 31]
    assert not list(layer.parameters())


def test_a_training_step_moves_the_weights_behind():
    torch.manual_seed(0)
    model = nn.Sequential(ThermometerEncode(1), BinaryConv2d(32, 4, 3, padding=1), nn.BatchNorm2d(4))
    before = model[1].weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    model(torch.rand(4, 1, 6, 6) * 2 - 1).square().mean().backward()
    optimizer.step()
    assert not torch.equal(model[1].weight, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_code_has_the_dtype_of_the_image(dtype):
    assert ThermometerEncode(2)(torch.zeros(1, 2, 3, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_channels": 0}, r"num_channels must be >= 1, got 0"),
        ({"resolution": 0}, r"resolution must be an integer within 1\.\.255, got 0"),
        ({"resolution": 256}, r"within 1\.\.255, got 256"),
        ({"resolution": 8.0}, r"must be an integer within 1\.\.255, got 8\.0"),
        ({"mean": (0.5, 0.5)}, r"mean needs one finite number or 3, got \(0\.5, 0\.5\)"),
        ({"std": (float("nan"),)}, r"std needs one finite number or 3, got \(nan,\)"),
        ({"std": (1.0, 0.0, 1.0)}, r"std must be positive, got \(1\.0, 0\.0, 1\.0\)"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        ThermometerEncode(**{"num_channels": 3, **options})


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 1, 4, 4), torch.zeros(3), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)]
)
def test_only_normalised_images_are_taken(images):
    with pytest.raises(ValueError, match=r"takes normalised images, floats \(N, 3, \.\.\.\), got torch\.\w+ \("):
        ThermometerEncode(3)(images)
