"""Chains of layers in other engines; part of worker.py.

A binary chain is an .npz file of layers.py: x (N, C, H, W) of ±1, and for every layer sign{i} (filters, C, 3, 3) of ±1,
cut{i} and direction{i} per filter: a bit is +1 where the sum is >= cut (direction 1) or <= cut (direction -1). Border
positions count as +1. Every engine's output is compared with `expected` before it is timed.
"""

from pathlib import Path

import numpy as np
from worker_engines import larq, openvino_settings
from worker_networks import write_tflite

EPSILON = 1e-3


def read(path):
    """The arrays of a chain, and how many layers it has."""
    with np.load(path) as file:
        chain = dict(file)
    return chain, sum(name.startswith("sign") for name in chain)


def require_equal(got, chain, where):
    """Refuses an engine that computes something else."""
    if not np.array_equal(got, chain["expected"]):
        raise ValueError(f"{where}: outputs differ at {np.mean(got != chain['expected']):.2%} of the positions")


def openvino_binary(path, threads):
    """OpenVINO's BinaryConvolution, the comparison fused into it; sums after the last layer.

    A comparison with two levels 0 and 1 is what its CPU plugin fuses; one after the last layer makes it crash
    (2026.4.1), so that the sums of that layer are compared here.
    """
    import openvino
    from openvino import Core, Model, Shape, Tensor, Type, opset1

    chain, length = read(path)
    stored = []  # a tensor does not own its memory

    def compare(x, cut, direction):
        shape = (1, -1, 1, 1) if np.ndim(cut) else ()
        levels = [cut, cut, np.where(direction > 0, 0, 1), np.where(direction > 0, 1, 0)]
        return opset1.fake_quantize(x, *(opset1.constant(np.float32(v).reshape(shape)) for v in levels), levels=2)

    def load():
        start = opset1.parameter(chain["x"].shape, np.float32)
        bits = compare(start, 0, np.int8(1))
        for i in range(length):
            sign, cut, direction = (chain[f"{name}{i}"] for name in ("sign", "cut", "direction"))
            stored.append(np.packbits(sign.reshape(-1) > 0, bitorder="little"))
            weight = openvino.op.Constant(Tensor(stored[-1], Shape(sign.shape), Type.u1))
            sums = opset1.binary_convolution(
                bits, weight, [1, 1], [1, 1], [1, 1], [1, 1], mode="xnor-popcount", pad_value=1.0
            )
            if i + 1 < length:
                bits = compare(sums, cut - 0.5 * direction, direction)
        model = Model([sums], [start], "chain")
        request = Core().compile_model(model, "CPU", openvino_settings(threads)).create_infer_request()
        x = chain["x"].astype(np.float32)
        got = request.infer([x])[0]
        up, limit = direction.reshape(1, -1, 1, 1) > 0, cut.reshape(1, -1, 1, 1)
        require_equal(np.where(np.where(up, got >= limit, got <= limit), 1, -1), chain, "OpenVINO 1-bit")
        return lambda: request.infer([x])

    return load


def larq_binary(chain, path, threads):
    """Larq Compute Engine on the file of `convert_larq_chain`."""
    arrays, _ = read(chain)
    images = np.ascontiguousarray(arrays["x"].transpose(0, 2, 3, 1), np.float32)
    build = larq(path, len(images), threads, indirect=True, values=images)

    def load():
        call = build()
        got = np.concatenate(call()).transpose(0, 3, 1, 2)
        require_equal(np.where(got >= 0, 1, -1), arrays, "Larq")
        return call

    return load


def convert_larq_chain(chain, path):
    """The chain as Larq's layers, batch normalisation set to the comparisons, converted."""
    import larq as lq
    import larq_compute_engine as lce
    import tensorflow as tf

    arrays, length = read(chain)
    start = x = tf.keras.layers.Input(arrays["x"].transpose(0, 2, 3, 1).shape[1:])
    for i in range(length):
        sign, cut, direction = (arrays[f"{name}{i}"] for name in ("sign", "cut", "direction"))
        convolution = lq.layers.QuantConv2D(
            len(sign), 3, padding="same", pad_values=1.0, use_bias=False, kernel_constraint="weight_clip",
            input_quantizer="ste_sign", kernel_quantizer="ste_sign",
        )  # fmt: skip
        norm = tf.keras.layers.BatchNormalization(epsilon=EPSILON)
        x = norm(convolution(x))
        convolution.set_weights([sign.transpose(2, 3, 1, 0).astype(np.float32)])
        shift, mean, variance = np.zeros(len(cut)), cut - 0.5 * direction, np.full(len(cut), 1 - EPSILON)
        norm.set_weights([direction.astype(np.float32), shift, mean, variance])
    Path(path).write_bytes(lce.convert_keras_model(tf.keras.Model(start, x)))


def convert_int8_chain(channels, side, batch, path):
    """Convolutions with ReLU in 8-bit integers, for TensorFlow Lite."""
    import tensorflow as tf

    layers = tf.keras.layers
    start = x = layers.Input(batch_shape=(batch, side, side, channels[0][0]))
    for _, filters in channels:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    write_tflite(tf.keras.Model(start, x), path, int8=True)


ENGINES = {"openvino_binary": openvino_binary, "larq_binary": larq_binary}
CONVERTERS = {"larq_chain": convert_larq_chain, "int8_chain": convert_int8_chain}
