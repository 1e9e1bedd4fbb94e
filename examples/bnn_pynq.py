"""Runs two published binary networks (Xilinx/BNN-PYNQ, W1A1) on signbit: LFC on MNIST and CNV on CIFAR-10.

    python examples/bnn_pynq.py PARAMETERS --mnist DATA/MNIST/raw --cifar10 DATA/cifar-10-batches-bin --out .

PARAMETERS holds lfc_w1a1_mnist.npz and cnv_w1a1_cifar10.npz. The data folders are laid out as
the official downloads are.
"""

import argparse
from pathlib import Path

import numpy as np

from signbit import packed, runtime
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.weights import Dense, encode_dense

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def weight(parameters: dict[str, Array], layer: int, kernel: int = 1) -> Dense:
    """Weights of a layer: the files have 1 for +1 and order a kernel (row, column, channel); signbit the other way."""
    depth = int(parameters[f"shape{layer}"][1])
    ones = np.unpackbits(parameters[f"w{layer}"], axis=1, count=depth, bitorder="little")
    by_channel = ones.reshape(len(ones), kernel * kernel, -1).transpose(0, 2, 1)
    return encode_dense(1 - by_channel.reshape(len(ones), depth))


def above(name: str, source: str, bound: Array) -> n.Threshold:
    """Bits that are +1 where the integer of `source` exceeds `bound` (strictly)."""
    rising = np.ones(len(bound), np.int8)
    return n.Threshold(name=name, inputs=(source,), threshold=(bound + 1).astype(np.int32), direction=rising)


def fires(parameters: dict[str, Array], layer: int) -> n.Threshold:
    """The files compare the number p of equal bits: p > t. The sum is 2p - K, so it must exceed 2t - K."""
    bound = 2 * parameters[f"t{layer}"] - parameters[f"shape{layer}"][1]
    return above(f"bits{layer}", f"sum{layer}", bound)


def linear(parameters: dict[str, Array], layer: int, source: str) -> n.BinaryLinear:
    """A fully connected layer, its sums called sum0, sum1, ..."""
    filters = len(parameters[f"w{layer}"])
    return n.BinaryLinear(name=f"sum{layer}", inputs=(source,), filters=filters, weight=weight(parameters, layer))


def lfc(parameters: dict[str, Array], rule: str = "deployed") -> packed.Graph:
    """784-1024-1024-1024-10. The deployed rule takes the highest class whose bit fires, 0 if none; else the margin."""
    nodes: list[packed.Node] = [
        above("pixel_bits", "input", np.array([127])),
        n.Flatten(name="bits", inputs=("pixel_bits",)),
    ]
    for layer in range(4):
        nodes.append(linear(parameters, layer, nodes[-1].name))
        if layer < 3 or rule == "deployed":
            nodes.append(fires(parameters, layer))
    if rule == "deployed":  # class · bit is largest for the highest class that fires, and 0 = class 0 when none does
        scale, offset = np.arange(10), np.zeros(10)
    else:  # p - t, from the sum 2p - K
        scale, offset = np.full(10, 0.5), parameters["shape3"][1] / 2 - parameters["t3"]
    nodes.append(
        n.Affine(
            name="score",
            inputs=(nodes[-1].name,),
            scale=scale.astype(np.float32),
            offset=offset.astype(np.float32),
        )
    )
    image = packed.ImagePreparation(height=28, width=28, mode="L")
    return packed.Graph({"input": packed.Image(image.shape)}, tuple(nodes), "score", image, tuple(map(str, range(10))))


def cnv(parameters: dict[str, Array]) -> packed.Graph:
    """Six 3x3 convolutions without padding, the first on 8-bit pixels; 2x2 maximum after the second and fourth."""
    scaled = np.arange(256) / 255 * 2 - 1
    table = np.clip(np.floor(scaled * 128 + 0.5), -128, 127).astype(np.int32)
    nodes: list[packed.Node] = [n.Lookup(name="pixels", inputs=("input",), table=table[None])]
    for layer in range(6):
        filters = len(parameters[f"w{layer}"])
        nodes.append(
            n.BinaryConv(
                name=f"sum{layer}",
                inputs=(nodes[-1].name,),
                window=packed.Window(kernel=(3, 3)),
                filters=filters,
                weight=weight(parameters, layer, kernel=3),
            )
        )
        if layer == 0:  # fires iff 2·sum > t
            nodes.append(above("bits0", "sum0", parameters["t0"] // 2))
        else:
            nodes.append(fires(parameters, layer))
        if layer in (1, 3):
            half = packed.Window(kernel=(2, 2), stride=(2, 2))
            nodes.append(n.Pool(name=f"pool{layer}", inputs=(nodes[-1].name,), window=half))
    nodes.append(n.Flatten(name="features", inputs=(nodes[-1].name,)))
    for layer in range(6, 9):
        nodes.append(linear(parameters, layer, nodes[-1].name))
        if layer < 8:
            nodes.append(fires(parameters, layer))
    image = packed.ImagePreparation(height=32, width=32)
    return packed.Graph({"input": packed.Image(image.shape)}, tuple(nodes), "sum8", image, CIFAR10)


def mnist_test(folder: Path) -> tuple[Array, Array]:
    """The MNIST test set: pixels (10000, 1, 28, 28) and classes."""
    pixels = np.fromfile(folder / "t10k-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    return pixels, np.fromfile(folder / "t10k-labels-idx1-ubyte", np.uint8)[8:]


def cifar10_test(folder: Path) -> tuple[Array, Array]:
    """The CIFAR-10 test set: pixels (N, 3, 32, 32) and classes."""
    records = np.fromfile(folder / "test_batch.bin", np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def accuracy(path: Path, images: Array, labels: Array) -> float:
    """Share of `images` whose largest output is their label."""
    model = runtime.load(path)
    batches = [images[i : i + 16] for i in range(0, len(images), 16)]
    scores = np.concatenate([model.run(batch) for batch in batches])
    return float((scores.argmax(axis=1) == labels).mean())


def main() -> None:
    """Builds each network whose data folder is given, saves it and prints its accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parameters", type=Path)
    parser.add_argument("--mnist", type=Path, help="folder with t10k-images-idx3-ubyte")
    parser.add_argument("--cifar10", type=Path, help="folder with test_batch.bin")
    parser.add_argument("--out", type=Path, default=Path(), help="where to write the .sbit files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.mnist is not None:
        parameters = dict(np.load(arguments.parameters / "lfc_w1a1_mnist.npz"))
        for rule in ("deployed", "margin"):
            path = packed.save(lfc(parameters, rule), arguments.out / f"lfc_{rule}.sbit")
            print(f"{path}: {accuracy(path, *mnist_test(arguments.mnist)):.2%} of the MNIST test images")
    if arguments.cifar10 is not None:
        parameters = dict(np.load(arguments.parameters / "cnv_w1a1_cifar10.npz"))
        path = packed.save(cnv(parameters), arguments.out / "cnv.sbit")
        images, labels = cifar10_test(arguments.cifar10)
        print(f"{path}: {accuracy(path, images, labels):.2%} of {len(labels)} CIFAR-10 test images")


if __name__ == "__main__":
    main()
