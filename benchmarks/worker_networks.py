"""Whole networks in Keras, converted for Larq Compute Engine and TensorFlow Lite; part of worker.py."""

from pathlib import Path

import numpy as np

STAGES = (64, 128, 256, 512)


def binarynet_layers(convolution, dense, tf):
    """BinaryNet (specs/systems.md): every convolution and product as the functions given make it."""
    layers = tf.keras.layers
    model = [layers.Input((32, 32, 3)), convolution(128, first=True), layers.BatchNormalization(scale=False)]
    for filters, pools in ((128, True), (256, False), (256, True), (512, False), (512, True)):
        model += [convolution(filters, first=False), *([layers.MaxPool2D(2)] if pools else [])]
        model += [layers.BatchNormalization(scale=False)]
    model += [layers.Flatten()]
    for units in (1024, 1024, 10):
        model += [dense(units), layers.BatchNormalization(scale=False)]
    return tf.keras.Sequential(model)


def larq_network(name, tf):
    """Larq's own definition of a network, random weights."""
    import larq as lq
    from larq_zoo.literature import BiRealNet
    from larq_zoo.sota import QuickNet, QuickNetSmall

    zoo = {"birealnet18": BiRealNet, "quicknet": QuickNet, "quicknet_small": QuickNetSmall}
    if name in zoo:
        return zoo[name](weights=None)
    if name != "binarynet":
        raise ValueError(f"larq-zoo has no {name}")
    binary = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}

    def convolution(filters, *, first):
        read = {"pad_values": 0.0} if first else {"pad_values": 1.0, "input_quantizer": "ste_sign"}
        return lq.layers.QuantConv2D(filters, 3, padding="same", **read, **binary)

    def dense(units):
        return lq.layers.QuantDense(units, input_quantizer="ste_sign", **binary)

    return binarynet_layers(convolution, dense, tf)


def residual_network(tf):
    """Bi-Real-18's topology in floats: a shortcut round every 3x3 convolution."""
    layers = tf.keras.layers
    start = layers.Input((224, 224, 3))
    x = layers.BatchNormalization()(layers.Conv2D(64, 7, 2, padding="same", use_bias=False)(start))
    x = layers.MaxPool2D(3, 2, padding="same")(x)
    for stage, filters in enumerate(STAGES):
        for block in range(4):
            stride = 2 if block == 0 and stage > 0 else 1
            y = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
            y = layers.BatchNormalization()(y)
            if stride == 2:
                x = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(layers.AvgPool2D(2)(x)))
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(start, layers.Dense(1000)(x))


def float_network(name, tf):
    """The float network of the same topology."""
    layers = tf.keras.layers
    if name == "birealnet18":
        return residual_network(tf)
    if name != "binarynet":
        raise ValueError(f"no Keras twin of {name}")
    return binarynet_layers(
        lambda filters, *, first: layers.Conv2D(filters, 3, padding="same", activation="relu", use_bias=False),
        lambda units: layers.Dense(units, activation="relu", use_bias=False),
        tf,
    )


def write_tflite(model, path, *, int8):
    """A Keras model of fixed batch as a file of TensorFlow Lite: float32, or int8 throughout, calibrated on noise."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        noise = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [noise.standard_normal(model.input_shape, np.float32)] for _ in range(2)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(path).write_bytes(converter.convert())


def convert_larq_network(name, path):
    """A network for Larq Compute Engine."""
    import larq_compute_engine as lce
    import tensorflow as tf

    Path(path).write_bytes(lce.convert_keras_model(larq_network(name, tf)))


def convert_float_network(name, batch, int8, path):
    """The float network of the same topology for TensorFlow Lite."""
    import tensorflow as tf

    network = float_network(name, tf)
    fixed = tf.keras.layers.Input(batch_shape=(batch, *network.input_shape[1:]))
    write_tflite(tf.keras.Model(fixed, network(fixed)), path, int8=int8)


CONVERTERS = {"larq_network": convert_larq_network, "float_network": convert_float_network}
