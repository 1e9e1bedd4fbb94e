"""One engine in an interpreter of its own, for benchmarks/networks.py: builds it, then times it on request.

python worker.py ENGINE WHAT BATCH THREADS PRIORITY

ENGINE is larq, larq-indirect, tflite-fp32 or tflite-int8 (WHAT: a network's name) or openvino (WHAT: an ONNX file).
Prints a JSON line when ready; every line read is a number of seconds, answered by the seconds of each call.
"""

import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
STAGES = (64, 128, 256, 512)
PRIORITY = 0
"""Real-time priority of the timed calls; 0: none."""
RANDOM = np.random.default_rng(0)


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


def larq(name, batch, threads, *, indirect):
    """Larq Compute Engine; the indirect kernels are its fastest on x86."""
    import larq_compute_engine as lce
    import tensorflow as tf
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    model = lce.convert_keras_model(larq_network(name, tf))
    interpreter = Interpreter(model, num_threads=threads, use_indirect_bgemm=indirect)
    images = RANDOM.standard_normal((batch, *interpreter.input_shapes[0][1:]), np.float32)
    if batch == 1:
        return lambda: interpreter.interpreter.predict([images])
    return lambda: interpreter.predict([images])


def tflite(name, batch, threads, *, int8):
    """TensorFlow Lite with XNNPACK."""
    import tensorflow as tf

    network = float_network(name, tf)
    shape = (batch, *network.input_shape[1:])
    fixed = tf.keras.layers.Input(batch_shape=shape)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(fixed, network(fixed)))
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([RANDOM.standard_normal(shape, np.float32)] for _ in range(2))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = tf.lite.Interpreter(model_content=converter.convert(), num_threads=threads)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]
    interpreter.set_tensor(place["index"], (RANDOM.standard_normal(shape) * 40).astype(place["dtype"]))
    return interpreter.invoke


def openvino(path, batch, threads):
    """OpenVINO on an ONNX file."""
    from openvino import Core

    core = Core()
    model = core.read_model(path)
    shape = [batch, *(dimension.get_length() for dimension in list(model.inputs[0].partial_shape)[1:])]
    model.reshape(shape)
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    images = RANDOM.standard_normal(shape, np.float32)
    return lambda: request.infer([images])


@contextmanager
def undisturbed():
    """Every thread of this process before other work, for a moment."""
    if PRIORITY == 0:
        yield
        return
    tasks = [int(task) for task in os.listdir("/proc/self/task")]
    for task in tasks:
        os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        for task in tasks:
            os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))


def turn(call, seconds):
    """The seconds of each call, for about so long, after one that is not counted."""
    with undisturbed():
        call()
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return times


def main():
    """Serves until the input ends."""
    global PRIORITY
    engine, what = sys.argv[1:3]
    batch, threads, PRIORITY = map(int, sys.argv[3:6])
    makers = {
        "larq": lambda: larq(what, batch, threads, indirect=False),
        "larq-indirect": lambda: larq(what, batch, threads, indirect=True),
        "tflite-fp32": lambda: tflite(what, batch, threads, int8=False),
        "tflite-int8": lambda: tflite(what, batch, threads, int8=True),
        "openvino": lambda: openvino(Path(what), batch, threads),
    }
    try:
        call = makers[engine]()
        call()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ok": "ready"}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"ok": turn(call, float(line))}), flush=True)


if __name__ == "__main__":
    main()
