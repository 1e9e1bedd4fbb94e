"""Engines that run a file of their own format, loaded in an interpreter of their own by worker.py.

Each function gives a loader, which gives the call to be timed.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np

RANDOM = np.random.default_rng(0)


def signbit(path, batch, threads):
    """A packed file in this project's runtime."""
    from signbit import runtime

    def load():
        model = runtime.load(path, threads=threads)
        (edge,) = model.graph.inputs.values()
        pixels = RANDOM.integers(0, 256, (batch, *edge.shape), dtype=np.uint8)
        return lambda: model.run(pixels)

    return load


def openvino(path, batch, threads):
    """OpenVINO on an ONNX file."""
    from openvino import Core

    def load():
        core = Core()
        model = core.read_model(path)
        shape = [batch, *(dimension.get_length() for dimension in list(model.inputs[0].partial_shape)[1:])]
        model.reshape(shape)
        request = core.compile_model(model, "CPU", openvino_settings(threads)).create_infer_request()
        images = RANDOM.standard_normal(shape, np.float32)
        return lambda: request.infer([images])

    return load


def openvino_settings(threads):
    """For latency on so many threads; where they run is the caller's business."""
    return {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}


def onnxruntime(path, batch, threads):
    """ONNX Runtime on an ONNX file."""
    import onnxruntime as ort

    def load():
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (place,) = session.get_inputs()
        images = RANDOM.standard_normal((batch, *place.shape[1:]), np.float32)
        return lambda: session.run(None, {place.name: images})

    return load


def litert(path, batch, threads):
    """LiteRT, or the TensorFlow Lite of TensorFlow, with XNNPACK, on a file made for `batch`."""
    interpreter_class = litert_interpreter()

    def load():
        interpreter = interpreter_class(model_path=path, num_threads=threads)
        place = interpreter.get_input_details()[0]
        if place["shape"][0] != batch:
            interpreter.resize_tensor_input(place["index"], [batch, *place["shape"][1:]])
        interpreter.allocate_tensors()
        values = RANDOM.standard_normal((batch, *place["shape"][1:])) * 40
        interpreter.set_tensor(place["index"], values.astype(place["dtype"]))
        return interpreter.invoke

    return load


def litert_interpreter():
    """The interpreter's class, from whichever package is here."""
    with suppress(ImportError):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    import tensorflow as tf

    return tf.lite.Interpreter


def larq(path, batch, threads, indirect, values=None):
    """Larq Compute Engine on a converted file, image by image; the indirect kernels are its fastest on x86."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    def load():
        interpreter = Interpreter(Path(path).read_bytes(), num_threads=threads, use_indirect_bgemm=indirect)
        shape = (batch, 1, *interpreter.input_shapes[0][1:])
        images = RANDOM.standard_normal(shape, np.float32) if values is None else values.reshape(shape)
        return lambda: [interpreter.interpreter.predict([image])[0] for image in images]

    return load


ENGINES = {function.__name__: function for function in (signbit, openvino, onnxruntime, litert, larq)}
