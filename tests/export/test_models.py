import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from export.compare import assert_close, scramble
from signbit.export import summary, to_graph
from signbit.models import create_model, list_models
from signbit.packed import ImagePreparation, dumps, load, reference, save
from signbit.packed.report import inspect

SIDES = {"mnist": 28, "digits": 8}


def preparation(name: str) -> ImagePreparation:
    side = next((size for key, size in SIDES.items() if name.startswith(key)), 32)
    return ImagePreparation(height=side, width=side, mode="L" if side < 32 else "RGB")


@pytest.mark.parametrize("name", [name for name in list_models() if name.startswith(tuple(SIDES))])
@pytest.mark.parametrize("binary", [True, False])
def test_small_models_pack(name, binary):
    torch.manual_seed(0)
    image = preparation(name)
    model = scramble(create_model(name, num_classes=10, in_chans=image.shape[0], binary=binary))
    graph = assert_close(model, image, count=4)
    report = inspect(graph)
    assert report.float_macs > 0 or binary
    assert (report.binary_macs > 0) == binary


@pytest.mark.parametrize(
    ("name", "side", "one_bit", "binary", "mixed", "real"),
    [
        ("binarynet", 32, 14_022_016, 613_427_200, 3_538_944, 0),
        ("binarynet_valid", 32, 10_352_000, 510_961_664, 3_110_400, 0),
        ("vgg_small", 32, 4_571_136, 603_979_776, 0, 3_620_864),
        ("resnet20_cifar", 32, 267_264, 40_108_032, 0, 443_008),
        ("resnet18_cifar", 32, 10_985_472, 547_356_672, 0, 1_774_592),
        ("birealnet18", 224, 10_985_472, 1_676_279_808, 0, 137_793_536),
        ("react_resnet18", 224, 10_985_472, 1_676_279_808, 0, 137_793_536),
    ],
)
def test_counts_are_those_of_the_papers(name, side, one_bit, binary, mixed, real):
    image = ImagePreparation(height=side, width=side)
    report = summary(create_model(name, num_classes=1000 if side == 224 else 10, in_chans=3), image=image)
    assert (report.binary_weights, report.binary_macs) == (one_bit, binary)
    assert (report.mixed_macs, report.float_macs) == (mixed, real)


def test_file_is_as_small_as_its_information(tmp_path):
    torch.manual_seed(0)
    image = preparation("mnist_mlp")
    graph = to_graph(scramble(create_model("mnist_mlp")), image=image)
    path = save(graph, tmp_path / "model.sbit")
    report = inspect(graph)
    information = report.binary_weights / 8 + sum(row.bytes for row in report.rows if row.weights == 0)
    assert path.stat().st_size == report.file_bytes <= 1.02 * information
    with safe_open(path, "numpy") as file:
        document = file.metadata()["graph"]
    assert len(document) <= 2048 + 300 * len(graph.nodes)
    assert len(json.loads(document)["nodes"]) == len(graph.nodes)
    batch = np.random.default_rng(0).integers(0, 256, (4, *image.shape), dtype=np.uint8)
    np.testing.assert_array_equal(reference.run(load(path), batch), reference.run(graph, batch))
    assert len(dumps(graph)) == path.stat().st_size
