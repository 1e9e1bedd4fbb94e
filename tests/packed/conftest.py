import numpy as np
import pytest

from signbit.packed import Bits, Graph, Image, ImagePreparation, Window, dumps
from signbit.packed import nodes as n
from signbit.packed.weights import encode_codebook, encode_dense, encode_gaps


def float32(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def bits(rng, filters, depth, p=0.5):
    return (rng.random((filters, depth)) < p).astype(np.uint8)


def every_node(seed=0):
    """A graph that uses every node type, weight encoding, real format and border or table variant once or more."""
    rng = np.random.default_rng(seed)
    same = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    half = Window(kernel=(2, 2), stride=(2, 2))
    border = np.zeros((8, 8), np.uint8)
    border[0], border[:, -1] = 1, 2
    chain = [
        n.Lookup(name="pixels", inputs=("input",), table=rng.integers(-128, 128, (1, 256)).astype(np.int32)),
        n.Conv(name="stem", inputs=("pixels",), window=same, weight=rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8)),
        n.Affine(
            name="scaled", inputs=("stem",), scale=float32(rng, 4) / 100, offset=float32(rng, 4, 3), border=border
        ),
        n.Sign(name="signs", inputs=("scaled",), shift=float32(rng, 4)),
        n.Sign(name="two_planes", inputs=("scaled",), planes=2),
        n.BinaryConv(
            name="dense",
            inputs=("signs",),
            window=same,
            filters=6,
            groups=2,
            pad_value=0,
            weight=encode_dense(bits(rng, 6, 18)),
        ),
        n.Threshold(
            name="fires",
            inputs=("dense",),
            threshold=rng.integers(-6, 6, (6, 3)).astype(np.int32),
            direction=np.array([1, -1, 1, -1, 1, 1], np.int8),
            border=border,
        ),
        n.BinaryConv(
            name="sparse", inputs=("two_planes",), window=same, filters=6, weight=encode_gaps(bits(rng, 6, 36, 0.1))
        ),
        n.WindowSum(name="shared", inputs=("signs",), window=same),
        n.BinaryConv(
            name="levels",
            inputs=("signs", "shared"),
            window=same,
            filters=6,
            weight=encode_codebook(bits(rng, 6, 36), taps=9),
            levels=float32(rng, 6, 2),
            format="float16",
        ),
        n.Threshold(
            name="table",
            inputs=("sparse", "shared"),
            threshold=rng.integers(-20, 20, (6, 37)).astype(np.int32),
            direction=np.ones(6, np.int8),
            table_low=-36,
            table_step=2,
        ),
        n.Add(name="sum", inputs=("dense", "sparse")),
        n.PReLU(name="prelu", inputs=("sum",), slope=float32(rng, 6), positive=float32(rng, 6)),
        n.HardTanh(name="clipped", inputs=("prelu",), low=-3.5, high=2.25),
        n.Norm(name="normed", inputs=("clipped",), scale=float32(rng, 6), offset=float32(rng, 6)),
        n.Quantize(name="quantized", inputs=("normed",), inverse_step=20.0, zero=3, low=-100, high=100),
        n.Where(name="chosen", inputs=("fires", "quantized", "sum")),
        n.Add(name="stream", inputs=("normed", "levels"), format="int16", step=0.001),
        n.Gate(name="gated", inputs=("stream", "normed"), function="sigmoid"),
        n.Concat(name="both", inputs=("table", "fires")),
        n.Select(name="shuffled", inputs=("both",), index=rng.permutation(12).astype(np.int32)),
        n.Roll(name="rolled", inputs=("shuffled",), shift=rng.integers(-3, 4, (12, 2)).astype(np.int8)),
        n.Pool(name="pooled", inputs=("rolled",), window=half),
        n.Pool(name="mean", inputs=("gated",), window=half, mode="mean"),
        n.Flatten(name="features", inputs=("pooled",)),
        n.BinaryLinear(name="hidden", inputs=("features",), filters=5, weight=encode_dense(bits(rng, 5, 192))),
        n.Flatten(name="reals", inputs=("mean",)),
        n.Linear(name="classifier", inputs=("reals",), weight=float32(rng, 5, 96), bias=float32(rng, 5)),
        n.Flatten(name="choices", inputs=("chosen",)),
        n.BinaryLinear(name="last", inputs=("choices",), filters=5, weight=encode_gaps(bits(rng, 5, 384, 0.02))),
        n.Add(name="score", inputs=("classifier", "hidden", "last")),
    ]
    image = ImagePreparation(height=8, width=8, resize=9, mean=(0.1, 0.2, 0.3), std=(0.4,))
    return Graph({"input": Image((3, 8, 8))}, tuple(chain), "score", image, tuple("abcde"))


def small(**parts):
    """A graph of one dense layer on bits, its parts replaced by `parts`."""
    rng = np.random.default_rng(0)
    layer = n.BinaryLinear(name="sum", inputs=("input",), filters=3, weight=encode_dense(bits(rng, 3, 70)))
    return Graph(**({"inputs": {"input": Bits((70,))}, "nodes": (layer,), "output": "sum"} | parts))


@pytest.fixture(scope="session", name="every_node")
def _every_node():
    return every_node()


@pytest.fixture(scope="session")
def content(every_node):
    """The packed file of `every_node`."""
    return dumps(every_node)


@pytest.fixture(name="small")
def _small():
    return small
