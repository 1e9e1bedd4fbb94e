"""The thermometer code packs as a choice of pixels and a threshold: bits from the first layer on."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from export.compare import IMAGE, assert_equal, ops, pixels, scramble
from signbit import nn as binary
from signbit.export import ExportError, summary, to_graph, verify
from signbit.models import create_model
from signbit.packed import ImagePreparation, reference


def stem(image: ImagePreparation, resolution: int = 8, padding: int = 1) -> nn.Sequential:
    encode = binary.ThermometerEncode(image.shape[0], resolution=resolution, mean=image.mean, std=image.std)
    conv = binary.BinaryConv2d(encode.out_channels, 8, 3, padding=padding)
    return nn.Sequential(encode, conv, nn.BatchNorm2d(8), binary.BinaryConv2d(8, 5, 1))


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_torch_reference_and_engine_give_the_same_bits(data):
    grey = data.draw(st.booleans())
    number = 1 if grey else 3
    image = ImagePreparation(
        height=data.draw(st.integers(3, 12)),
        width=data.draw(st.integers(3, 12)),
        mode="L" if grey else "RGB",
        mean=tuple(data.draw(st.lists(st.floats(0, 1), min_size=number, max_size=number))),
        std=tuple(data.draw(st.lists(st.floats(0.01, 2), min_size=number, max_size=number))),
    )
    resolution = data.draw(st.sampled_from([1, 3, 8, 8, 64, 255]))
    model = scramble(stem(image, resolution, padding=data.draw(st.integers(0, 1))), seed=data.draw(st.integers(0, 99)))
    graph = assert_equal(model, image)
    repeats = [] if resolution == 255 else ["Select"]
    assert ops(graph) == [*repeats, "Threshold", "BinaryConv", "Threshold", "BinaryConv"]
    assert verify(graph, model=model, batch=pixels(image, 16)).passed


def test_the_packed_code_has_the_golden_counts():
    image = ImagePreparation(height=1, width=9, mean=IMAGE.mean, std=IMAGE.std)
    batch = np.array([0, 4, 5, 11, 12, 100, 251, 252, 255], np.uint8).reshape(1, 1, 1, 9).repeat(3, axis=1)
    graph = to_graph(binary.ThermometerEncode(3, mean=image.mean, std=image.std), image=image)
    assert ops(graph) == ["Select", "Threshold"]
    code = reference.run(graph, batch).reshape(3, 32, 9)
    assert ((code > 0).sum(axis=1) == [0, 0, 1, 1, 2, 12, 31, 32, 32]).all()


def test_codes_of_what_is_no_image_pack_too():
    encode = binary.ThermometerEncode(4, resolution=64)
    assert_equal(scramble(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 1, bias=False), nn.Hardtanh(), encode)))


def test_a_slice_of_the_image_stays_pixels():
    class Green(nn.Module):
        def __init__(self):
            super().__init__()
            self.sign = binary.Sign()

        def forward(self, x):
            return self.sign(x[:, 1:2])

    assert ops(assert_equal(Green())) == ["Select", "Threshold"]


def test_the_number_of_channels_must_fit():
    with pytest.raises(ExportError, match=r"0: it encodes 1 channels and gets 3"):
        to_graph(nn.Sequential(binary.ThermometerEncode(1)), image=IMAGE)


@pytest.mark.parametrize("name", ["resnet20_cifar", "birealnet18", "reactnet_a"])
def test_stems_of_networks_are_packed(name):
    torch.manual_seed(0)
    options = {"stem_width": 8} if name.startswith("react") else {}
    model = create_model(name, stem_encoding="thermometer", widths=(8, 16), depths=(1, 1), num_classes=5, **options)
    image = ImagePreparation(height=32, width=32)
    report = summary(model.eval(), image=image)
    row = next(row for row in report.rows if row.name == "stem.conv")
    assert row.bytes == row.weights // 8 == model.get_submodule("stem.conv").weight.numel() // 8
    assert verify(to_graph(model, image=image), model=model, batch=pixels(image, 16)).passed
