"""Runs engines in an interpreter of their own, for the benchmarks that compare with them.

python worker.py PRIORITY

Started by interpreters.py, which sends lines of JSON: ["make", ENGINE, {arguments}] loads an engine and answers its
number, how long loading took and what memory it holds; ["run", NUMBER, SECONDS, RUNS] answers the seconds of each call;
["do", CONVERTER, {arguments}] writes a file. An answer is {"ok": ...} or {"error": ...}. Needs numpy and what the
engine asked for needs, nothing of signbit.
"""

import json
import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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


@contextmanager
def undisturbed(priority):
    """Every thread of this process before other work, for a moment; 0: as it is."""
    if priority == 0:
        yield
        return
    tasks = [int(task) for task in os.listdir("/proc/self/task")]
    _schedule(tasks, os.SCHED_FIFO, priority)
    try:
        yield
    finally:
        _schedule(tasks, os.SCHED_OTHER, 0)


def _schedule(tasks, policy, priority):
    for task in tasks:
        with suppress(ProcessLookupError):  # a thread that has ended since
            os.sched_setscheduler(task, policy, os.sched_param(priority))


def turn(call, seconds=0.0, runs=1, *, priority=0):
    """The seconds of each call, for about so long and at least so often, after half that time that is not counted."""
    with undisturbed(priority):
        end = time.perf_counter() + seconds / 2
        call()
        while time.perf_counter() < end:
            call()
        times, end = [], time.perf_counter() + seconds
        while len(times) < runs or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return times


def memory():
    """Megabytes that this process holds now, and has held at most."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[name].split()[0]) / 1e3 for name in ("VmRSS", "VmHWM")]


def make(calls, engine, arguments, priority):
    """Loads an engine, calls it once, and says what that took."""
    import worker_layers

    engines = {function.__name__: function for function in (signbit, openvino, onnxruntime, litert, larq)}
    load = (engines | worker_layers.ENGINES)[engine](**arguments)
    with undisturbed(priority):
        before, start = memory()[0], time.perf_counter()
        call = load()
        seconds = time.perf_counter() - start
    loaded = memory()[0]
    call()
    calls.append(call)
    size = Path(arguments["path"]).stat().st_size
    cost = {"seconds": seconds, "bytes": size, "before": before, "loaded": loaded, "peak": memory()[1]}
    return {"number": len(calls) - 1} | cost


def convert(converter, arguments):
    """Writes a file; needs TensorFlow."""
    import worker_layers
    import worker_networks

    (worker_layers.CONVERTERS | worker_networks.CONVERTERS)[converter](**arguments)


def main():
    """Serves until the input ends."""
    priority, calls = int(sys.argv[1]), []
    verbs = {
        "make": lambda engine, arguments: make(calls, engine, arguments, priority),
        "run": lambda number, seconds, runs: turn(calls[number], seconds, runs, priority=priority),
        "do": convert,
        "drop": calls.clear,
    }
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    for line in sys.stdin:
        verb, *rest = json.loads(line)
        try:
            answer = {"ok": verbs[verb](*rest)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
