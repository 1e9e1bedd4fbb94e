"""Small packed graphs for the tests of what runs them."""

import numpy as np

from signbit import packed
from signbit.packed import nodes as n
from signbit.packed.bits import pack_stream
from signbit.packed.weights import Dense


def binary(random, filters, depth):
    return Dense(bits=pack_stream(random.integers(0, 2, (filters, depth)).astype(np.uint8)))


def thresholds(random, channels):
    direction = np.where(random.random(channels) < 0.5, -1, 1).astype(np.int8)
    return {"threshold": random.integers(-9, 9, channels).astype(np.int32), "direction": direction}


def tiny():
    """Binary convolution, pool, threshold, binary linear, float classifier, on 8x8 grey images."""
    random = np.random.default_rng(0)
    image = packed.ImagePreparation(height=8, width=8, mode="L")
    window = packed.Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    nodes = (
        n.Lookup(name="pixels", inputs=("input",), table=image.table()),
        n.Sign(name="bits", inputs=("pixels",)),
        n.BinaryConv(
            name="conv", inputs=("bits",), window=window, filters=16, pad_value=-1, weight=binary(random, 16, 9)
        ),
        n.Pool(name="pool", inputs=("conv",), window=packed.Window(kernel=(2, 2), stride=(2, 2))),
        n.Threshold(name="conv.sign", inputs=("pool",), **thresholds(random, 16)),
        n.Flatten(name="flat", inputs=("conv.sign",)),
        n.BinaryLinear(name="fc", inputs=("flat",), filters=65, weight=binary(random, 65, 256)),
        n.Threshold(name="fc.sign", inputs=("fc",), **thresholds(random, 65)),
        n.Linear(
            name="logits",
            inputs=("fc.sign",),
            weight=random.standard_normal((10, 65)).astype(np.float32),
            bias=random.standard_normal(10).astype(np.float32),
        ),
    )
    return packed.Graph({"input": packed.Image((1, 8, 8))}, nodes, "logits", image, tuple("0123456789"))


def branching():
    """Two binary convolutions of the same bits, added, thresholded, classified: no chain."""
    random = np.random.default_rng(3)
    window = packed.Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    up = {"threshold": np.full(1, 100, np.int32), "direction": np.ones(1, np.int8)}
    nodes = (
        n.Threshold(name="bits", inputs=("input",), **up),
        n.BinaryConv(name="left", inputs=("bits",), window=window, filters=8, weight=binary(random, 8, 9)),
        n.BinaryConv(name="right", inputs=("bits",), window=window, filters=8, weight=binary(random, 8, 9)),
        n.Add(name="sum", inputs=("left", "right")),
        n.Threshold(name="sum.sign", inputs=("sum",), **thresholds(random, 8)),
        n.Flatten(name="flat", inputs=("sum.sign",)),
        n.BinaryLinear(name="fc", inputs=("flat",), filters=10, weight=binary(random, 10, 512)),
    )
    return packed.Graph({"input": packed.Image((1, 8, 8))}, nodes, "fc")
