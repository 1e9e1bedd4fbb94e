"""Random graphs of one node, for holding the native engine equal to the reference."""

from collections.abc import Callable
from functools import partial

import numpy as np
from hypothesis import strategies as st

from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Edge, Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_codebook, encode_dense, encode_gaps
from signbit.packed.window import Window

CHANNELS = (1, 2, 3, 5, 8, 17, 31, 63, 64, 65, 100, 127, 128, 130)
Rng = np.random.Generator
Draw = Callable[..., object]


def values(rng: Rng, edge: Edge, batch: int) -> np.ndarray:
    """A random batch for `edge`."""
    shape = (batch, *edge.shape)
    match edge:
        case Image():
            return rng.integers(0, 256, shape, dtype=np.uint8)
        case Bits(planes=1):
            return rng.choice(np.array([-1, 1], np.int8), shape)
        case Bits():
            return rng.choice(np.array([-3, -1, 1, 3], np.int8), shape)
        case Int(low=low, high=high):
            return rng.integers(low, high + 1, shape, dtype=np.int32)
    x = rng.normal(size=shape).astype(np.float32) * rng.choice(
        np.array([0.5, 4, 3e4], np.float32), shape, p=[0.6, 0.3, 0.1]
    )
    x[rng.random(shape) < 0.05] = 0
    x[rng.random(shape) < 0.05] = -0.0
    return x


def floats(rng: Rng, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def edge_of(draw: Draw, kind: str, *, channels: int | None = None, vector: bool = False) -> Edge:
    """An edge of a kind: image, bits, bits2, uint8, int8, int, real."""
    c = draw(st.sampled_from(CHANNELS)) if channels is None else channels
    shape = (c,) if vector else (c, draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    match kind:
        case "image":
            return Image(shape)
        case "bits":
            return Bits(shape)
        case "bits2":
            return Bits(shape, 2)
        case "uint8":
            return Int(shape, 0, 255)
        case "int8":
            return Int(shape, -128, 127)
        case "int":
            return Int(shape, *draw(st.sampled_from([(-1000, 500), (0, 2), (-40_000, 40_000)])))
    return Real(shape)


def window_of(draw: Draw, edge: Edge) -> Window:
    """A window that fits `edge`."""
    kernel, stride, dilation, padding = [], [], [], []
    for size in edge.shape[1:]:
        d = draw(st.integers(1, min(2, size)))
        k = draw(st.integers(1, 3))
        reach = (k - 1) * d
        before, after = draw(st.integers(0, reach)), draw(st.integers(0, reach))
        if size + before + after <= reach:
            before = after = reach
        kernel.append(k), dilation.append(d), stride.append(draw(st.integers(1, 3))), padding.append((before, after))
    (top, bottom), (left, right) = padding
    return Window(
        kernel=tuple(kernel), stride=tuple(stride), dilation=tuple(dilation), padding=(top, left, bottom, right)
    )


def format_of(draw: Draw) -> dict:
    name = draw(st.sampled_from(["float32", "float16", "int16"]))
    return {"format": name, "step": 1 / 512 if name == "int16" else None}


def groups_of(draw: Draw, *counts: int) -> int:
    return draw(st.sampled_from([g for g in (1, 2, 3, 4, 5, 8, 64) if all(c % g == 0 for c in counts)]))


def bit_weights(draw: Draw, rng: Rng, filters: int, depth: int):
    bits = (rng.random((filters, depth)) < draw(st.sampled_from([0.5, 0.1]))).astype(np.uint8)
    taps = draw(st.sampled_from([t for t in range(1, 13) if depth % t == 0]))
    return draw(st.sampled_from([encode_dense, encode_gaps, partial(encode_codebook, taps=taps)]))(bits)


def filters_of(draw: Draw) -> int:
    return draw(st.sampled_from([1, 2, 5, 8, 16, 33, 63, 64, 65, 128]))


def one(edges: dict[str, Edge], node: n.Node) -> Graph:
    return Graph(edges, (node,), node.name)


def binary_conv(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["bits", "bits", "bits2", "image", "uint8", "int8", "int", "real"]))
    x = edge_of(draw, kind)
    w = window_of(draw, x)
    filters = filters_of(draw)
    groups = groups_of(draw, x.shape[0], filters)
    weight = bit_weights(draw, rng, filters, x.shape[0] // groups * w.taps)
    extra = format_of(draw) if kind == "real" else {}
    edges: dict[str, Edge] = {"x": x}
    if kind in ("bits", "bits2") and draw(st.booleans()):
        extra = {"levels": floats(rng, filters, 2), **format_of(draw)}
        edges["s"] = Int((groups, *w.output(x.shape)), -1000, 1000)
    pad = draw(st.sampled_from([-1, 0, 1]))
    return one(edges, n.BinaryConv(name="y", inputs=tuple(edges), window=w, filters=filters, groups=groups,
                                   pad_value=pad, weight=weight, **extra))  # fmt: skip


def binary_linear(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["bits", "bits2", "uint8", "int8", "int", "real"]))
    x = edge_of(draw, kind, channels=draw(st.sampled_from([*CHANNELS, 1000, 2049])), vector=True)
    filters = filters_of(draw)
    extra = format_of(draw) if kind == "real" else {}
    edges: dict[str, Edge] = {"x": x}
    if kind in ("bits", "bits2") and draw(st.booleans()):
        extra = {"levels": floats(rng, filters, 2), **format_of(draw)}
        edges["s"] = Int((1,), -1000, 1000)
    weight = bit_weights(draw, rng, filters, x.shape[0])
    return one(edges, n.BinaryLinear(name="y", inputs=tuple(edges), filters=filters, weight=weight, **extra))


def window_sum(draw: Draw, rng: Rng) -> Graph:
    vector = draw(st.booleans())
    kind = draw(st.sampled_from(["bits", "bits2", "uint8", "int"] + ([] if vector else ["image"])))
    x = edge_of(draw, kind, vector=vector)
    if vector:
        return one({"x": x}, n.WindowSum(name="y", inputs=("x",)))
    window, groups, pad = window_of(draw, x), groups_of(draw, x.shape[0]), draw(st.sampled_from([-1, 0, 1]))
    return one({"x": x}, n.WindowSum(name="y", inputs=("x",), window=window, groups=groups, pad_value=pad))


def dense_weight(draw: Draw, rng: Rng, kind: str, shape: tuple[int, ...]) -> dict:
    if kind in ("int", "real") or (kind != "image" and draw(st.booleans())):
        bias = floats(rng, shape[0]) if draw(st.booleans()) else None
        return {"weight": floats(rng, *shape), "bias": bias, **format_of(draw)}
    return {"weight": rng.integers(-128, 128, shape, dtype=np.int8)}


def conv(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["bits", "bits2", "image", "uint8", "int8", "int", "real"]))
    x = edge_of(draw, kind)
    w = window_of(draw, x)
    filters = filters_of(draw)
    groups = groups_of(draw, x.shape[0], filters)
    weight = dense_weight(draw, rng, kind, (filters, x.shape[0] // groups, *w.kernel))
    return one({"x": x}, n.Conv(name="y", inputs=("x",), window=w, groups=groups, **weight))


def linear(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["bits", "bits2", "uint8", "int8", "int", "real"]))
    x = edge_of(draw, kind, vector=True)
    weight = dense_weight(draw, rng, kind, (filters_of(draw), x.shape[0]))
    return one({"x": x}, n.Linear(name="y", inputs=("x",), **weight))


def lookup(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, "image")
    shape = (draw(st.sampled_from([1, x.shape[0]])), 256)
    table = floats(rng, *shape) if draw(st.booleans()) else rng.integers(-500, 500, shape, dtype=np.int32)
    return one({"x": x}, n.Lookup(name="y", inputs=("x",), table=table))


def border_of(draw: Draw, rng: Rng, x: Edge, make: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    if not draw(st.booleans()):
        return make(x.shape[0]), None
    return make(x.shape[0], 3), rng.integers(0, 3, x.shape[1:], dtype=np.uint8)


def affine(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, draw(st.sampled_from(["image", "bits", "bits2", "int", "real"])))
    offset, border = border_of(draw, rng, x, lambda *s: floats(rng, *s))
    return one({"x": x}, n.Affine(name="y", inputs=("x",), scale=floats(rng, x.shape[0]), offset=offset, border=border,
                                  **format_of(draw)))  # fmt: skip


def threshold(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["image", "bits", "bits2", "int8", "int"]))
    x = edge_of(draw, kind, vector=kind != "image" and draw(st.booleans()))
    direction = rng.choice(np.array([-1, 1], np.int8), x.shape[0])

    def cuts(*shape: int) -> np.ndarray:
        made = rng.integers(-130, 260, shape, dtype=np.int32)
        made[rng.random(shape) < 0.1] = 2**31 - 1
        made[rng.random(shape) < 0.1] = -(2**31)
        return made

    if len(x.shape) == 3 and draw(st.booleans()):
        cut, border = border_of(draw, rng, x, cuts)
        return one({"x": x}, n.Threshold(name="y", inputs=("x",), threshold=cut, direction=direction, border=border))
    low, step, entries = -9, draw(st.integers(1, 3)), 7
    s = Int((groups_of(draw, x.shape[0]), *x.shape[1:]), low, low + step * entries - 1)
    return one({"x": x, "s": s}, n.Threshold(name="y", inputs=("x", "s"), threshold=cuts(x.shape[0], entries),
                                             direction=direction, table_low=low, table_step=step))  # fmt: skip


def real_or_int(draw: Draw, **kw: object) -> Edge:
    return edge_of(draw, draw(st.sampled_from(["real", "real", "int"])), **kw)


def sign(draw: Draw, rng: Rng) -> Graph:
    x = real_or_int(draw, vector=draw(st.booleans()))
    shift = floats(rng, x.shape[0]) if draw(st.booleans()) else None
    return one({"x": x}, n.Sign(name="y", inputs=("x",), planes=draw(st.sampled_from([1, 2])), shift=shift))


def quantize(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, "real")
    low, zero, high = draw(st.sampled_from([(-128, 0, 127), (0, 7, 255), (-3, -1, 2**16)]))
    step = draw(st.sampled_from([1.0, 2.0, 13.7]))
    return one({"x": x}, n.Quantize(name="y", inputs=("x",), inverse_step=step, zero=zero, low=low, high=high))


def add(draw: Draw, rng: Rng) -> Graph:
    first = real_or_int(draw)
    edges: dict[str, Edge] = {"a": first}
    for name in "bcd"[: draw(st.integers(1, 3))]:
        edges[name] = draw(st.sampled_from([Real(first.shape), Int(first.shape, -100, 2**30)]))
    if all(isinstance(e, Int) for e in edges.values()):
        edges = {name: Int(first.shape, -1000, 2**28) for name in edges}
        return one(edges, n.Add(name="y", inputs=tuple(edges)))
    return one(edges, n.Add(name="y", inputs=tuple(edges), **format_of(draw)))


def concat(draw: Draw, rng: Rng) -> Graph:
    kind = draw(st.sampled_from(["image", "bits", "bits2", "int", "real"]))
    first = edge_of(draw, kind)
    edges = {"a": first}
    for name in "bcdefghijk"[: draw(st.integers(1, 9))]:
        edges[name] = type(first)(**{**first.__dict__, "shape": (draw(st.sampled_from(CHANNELS)), *first.shape[1:])})
    return one(edges, n.Concat(name="y", inputs=tuple(edges)))


def pool(draw: Draw, rng: Rng) -> Graph:
    mode = draw(st.sampled_from(["max", "sum", "mean"]))
    kinds = ["image", "bits", "bits2", "int"] + (["real"] if mode != "sum" else [])
    x = edge_of(draw, draw(st.sampled_from(kinds)))
    extra = {"count_padding": draw(st.booleans()), **format_of(draw)} if mode == "mean" else {}
    return one({"x": x}, n.Pool(name="y", inputs=("x",), window=window_of(draw, x), mode=mode, **extra))


def prelu(draw: Draw, rng: Rng) -> Graph:
    x = real_or_int(draw)
    positive = floats(rng, x.shape[0]) if draw(st.booleans()) else None
    return one({"x": x}, n.PReLU(name="y", inputs=("x",), slope=floats(rng, x.shape[0]), positive=positive,
                                 **format_of(draw)))  # fmt: skip


def hardtanh(draw: Draw, rng: Rng) -> Graph:
    low, high = draw(st.sampled_from([(-1.0, 1.0), (0.0, 6.0), (-0.3, 0.1)]))
    return one({"x": real_or_int(draw)}, n.HardTanh(name="y", inputs=("x",), low=low, high=high, **format_of(draw)))


def norm(draw: Draw, rng: Rng) -> Graph:
    x = real_or_int(draw, vector=draw(st.booleans()))
    over = draw(st.sampled_from(["channels", "sample"]))
    shape = x.shape if over == "sample" and draw(st.booleans()) else x.shape[:1]
    scale, offset = (floats(rng, *shape) if draw(st.booleans()) else None for _ in range(2))
    return one({"x": x}, n.Norm(name="y", inputs=("x",), over=over, scale=scale, offset=offset, **format_of(draw)))


def gate(draw: Draw, rng: Rng) -> Graph:
    x = real_or_int(draw, vector=draw(st.booleans()))
    shape = tuple(draw(st.sampled_from([1, s])) for s in x.shape)
    if draw(st.booleans()):
        shape = x.shape[:1]
    g = Real(shape) if draw(st.booleans()) else Int(shape, -5, 5)
    function = draw(st.sampled_from(["identity", "sigmoid", "hardsigmoid"]))
    return one({"x": x, "g": g}, n.Gate(name="y", inputs=("x", "g"), function=function, **format_of(draw)))


def where(draw: Draw, rng: Rng) -> Graph:
    condition = edge_of(draw, "bits")
    s = condition.shape
    kinds = [(Int(s, -5, 5), Int(s, 0, 900)), (Bits(s), Bits(s)), (Bits(s, 2), Bits(s, 2)), (Real(s), Int(s, -5, 5))]
    yes, no = draw(st.sampled_from(kinds))
    extra = format_of(draw) if isinstance(yes, Real) else {}
    return one({"c": condition, "yes": yes, "no": no}, n.Where(name="y", inputs=("c", "yes", "no"), **extra))


def select(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, draw(st.sampled_from(["image", "bits", "bits2", "int", "real"])))
    low = 0 if isinstance(x, Bits) else -1
    index = rng.integers(low, x.shape[0], draw(st.sampled_from(CHANNELS)), dtype=np.int32)
    return one({"x": x}, n.Select(name="y", inputs=("x",), index=index))


def roll(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, draw(st.sampled_from(["image", "bits", "bits2", "int", "real"])))
    return one({"x": x}, n.Roll(name="y", inputs=("x",), shift=rng.integers(-9, 10, (x.shape[0], 2), dtype=np.int8)))


def flatten(draw: Draw, rng: Rng) -> Graph:
    x = edge_of(draw, draw(st.sampled_from(["bits", "bits2", "int", "real"])))
    return one({"x": x}, n.Flatten(name="y", inputs=("x",)))


CASES = {
    "BinaryConv": binary_conv, "BinaryLinear": binary_linear, "WindowSum": window_sum, "Conv": conv, "Linear": linear,
    "Lookup": lookup, "Affine": affine, "Threshold": threshold, "Sign": sign, "Quantize": quantize, "Add": add,
    "Concat": concat, "Pool": pool, "PReLU": prelu, "HardTanh": hardtanh, "Norm": norm, "Gate": gate, "Where": where,
    "Select": select, "Roll": roll, "Flatten": flatten,
}  # fmt: skip
"""A maker of random one-node graphs for every node type."""
