import gzip
import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from places import needs, place
from signbit import packed
from signbit.packed import reference

runtime = pytest.importorskip("signbit.runtime")
ROOT = Path(__file__).parents[2]
PARAMETERS = place("ref_bnn_pynq")
ARCHIVE = "cifar10/cifar10_lossless.zip"
pytestmark = needs("ref_bnn_pynq", "mnist", ARCHIVE)

spec = importlib.util.spec_from_file_location("bnn_pynq", ROOT / "examples" / "bnn_pynq.py")
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


def arrays(name):
    return dict(np.load(PARAMETERS / name))


@pytest.fixture(scope="module")
def mnist():
    """The MNIST test set from the official archives."""
    names = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    return tuple(gzip.decompress((place("mnist") / name).read_bytes()) for name in names)


@pytest.fixture(scope="module")
def cifar10():
    """The 1,017 clean CIFAR-10 test images, (N, 3, 32, 32), and their classes."""
    with zipfile.ZipFile(place(ARCHIVE)) as archive:
        tiles = []
        for name, count in (("test_00.webp", 1000), ("test_01_first17.webp", 17)):
            sheet = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            rows, columns = sheet.shape[0] // 32, sheet.shape[1] // 32
            grid = sheet.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
            tiles.append(grid[:count].transpose(0, 3, 1, 2))
        labels = np.load(io.BytesIO(archive.read("test_labels.npy")))
    return np.ascontiguousarray(np.concatenate(tiles)), labels[:1017]


def sums(graph, images):
    return {name: value for name, value in reference.trace(graph, images) if name.startswith(("sum", "score"))}


@pytest.mark.parametrize(
    ("rule", "key", "accuracy"),
    [("deployed", "pred_highest_bit", 0.9840), ("margin", "pred_argmax_margin", 0.9834)],
)
def test_lfc_reproduces_every_golden_accumulator(mnist, rule, key, accuracy):
    parameters, golden = arrays("lfc_w1a1_mnist.npz"), arrays("lfc_w1a1_mnist_expected.npz")
    images = np.frombuffer(mnist[0], np.uint8, offset=16).reshape(-1, 1, 28, 28)
    labels = np.frombuffer(mnist[1], np.uint8, offset=8)
    graph = example.lfc(parameters, rule)
    values = sums(graph, images)
    for layer, depth in enumerate((784, 1024, 1024)):
        equal_bits = (values[f"sum{layer}"][:16] + depth) // 2
        np.testing.assert_array_equal(equal_bits, golden[f"pop{layer}_first16"])
    np.testing.assert_array_equal((values["sum3"] + 1024) // 2, golden["pop3"])
    np.testing.assert_array_equal(values["score"].argmax(axis=1), golden[key])
    assert (values["score"].argmax(axis=1) == labels).mean() == accuracy
    for isa in set(runtime.isas()) - {"reference"}:
        np.testing.assert_array_equal(runtime.compile(graph, isa=isa).run(images), values["score"], err_msg=isa)


def test_cnv_reproduces_the_golden_accumulators_of_every_layer(cifar10):
    parameters, golden = arrays("cnv_w1a1_cifar10.npz"), arrays("cnv_w1a1_cifar10_expected.npz")
    graph = example.cnv(parameters)
    values = sums(graph, cifar10[0][:2])
    np.testing.assert_array_equal(values["sum0"], golden["acc0_first2"])
    for layer in range(1, 9):
        depth = int(parameters[f"shape{layer}"][1])
        expected = golden[f"acc{layer}_first2"]
        np.testing.assert_array_equal(
            (values[f"sum{layer}"] + depth) // 2, expected[:, :10] if layer == 8 else expected
        )
    first = reference.run(graph, cifar10[0][:64])
    np.testing.assert_array_equal((first + 512) // 2, golden["pop8_test1017"][:64])


@pytest.mark.parametrize(
    "isa", [pytest.param(isa, marks=[pytest.mark.slow] * (isa == "reference")) for isa in runtime.isas()]
)
def test_cnv_on_the_clean_test_images(cifar10, isa):
    images, labels = cifar10
    model = runtime.compile(example.cnv(arrays("cnv_w1a1_cifar10.npz")), isa=isa)
    scores = np.concatenate([model.run(images[i : i + 32]) for i in range(0, len(images), 32)])
    np.testing.assert_array_equal((scores + 512) // 2, arrays("cnv_w1a1_cifar10_expected.npz")["pop8_test1017"])
    assert (scores.argmax(axis=1) == labels).sum() == 822  # 80.83 %


def test_files_hold_little_more_than_their_weights():
    for build, name in ((example.lfc, "lfc_w1a1_mnist.npz"), (example.cnv, "cnv_w1a1_cifar10.npz")):
        parameters = arrays(name)
        weights = sum(int(np.prod(v)) for key, v in parameters.items() if key.startswith("shape")) / 8
        thresholds = 5 * sum(len(v) for key, v in parameters.items() if key.startswith("t"))
        graph = build(parameters)
        extra = len(packed.dumps(graph)) - weights - thresholds
        assert extra < 2048 + 300 * len(graph.nodes) + 4 * 256


def test_the_script_prints_accuracy_from_official_folders(tmp_path, mnist, cifar10):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(mnist[0])
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(mnist[1])
    records = np.hstack([cifar10[1][:100, None], cifar10[0][:100].reshape(100, -1)]).astype(np.uint8)
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    command = [sys.executable, str(ROOT / "examples" / "bnn_pynq.py"), str(PARAMETERS), "--out", str(tmp_path)]
    command += ["--mnist", str(tmp_path), "--cifar10", str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "98.40%" in printed
    assert "98.34%" in printed
    assert "of 100 CIFAR-10 test images" in printed
    assert sorted(p.name for p in tmp_path.glob("*.sbit")) == ["cnv.sbit", "lfc_deployed.sbit", "lfc_margin.sbit"]
