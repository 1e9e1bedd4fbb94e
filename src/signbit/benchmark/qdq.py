"""The int8 twin of any network in ONNX Runtime: the float twin, quantized statically (QDQ, calibrated)."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from signbit.benchmark.twins import NoTwinError
from signbit.packed.bits import Array

INPUT = "images"
Session = Callable[[Array], Array]


def session(twin: nn.Module, calibration: Array, *, threads: int) -> Session:
    """An int8 ONNX Runtime session of a float twin, as a function of normalised float32 images.

    Args:
        twin: the float32 network.
        calibration: normalised images (N, C, H, W) whose activations set the steps.
        threads: for one operator; operators run one after another.

    Raises:
        NoTwinError: onnx or onnxruntime is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "int8.onnx")
        write(twin, calibration, source=Path(folder, "float.onnx"), target=target)
        return load(target, threads)


def write(twin: nn.Module, calibration: Array, *, source: Path, target: Path) -> None:
    """Writes a float twin as ONNX to `source`, and quantized to `target`; the arguments are those of `session`."""
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise NoTwinError(f"{error.name} is not installed: pip install 'signbit[onnx]'") from None
    with _quiet():
        _export(twin, calibration, source)
        quantize_static(
            source,
            target,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def nothing() -> Session:
    """A session that hands its input on: what is left is the call."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "identity.onnx")
        _export(nn.Identity(), np.zeros((1, 1, 1, 1), np.float32), path)
        return load(path, 1)


def _export(module: nn.Module, images: Array, path: Path) -> None:
    names: dict[str, Any] = {"input_names": [INPUT], "dynamic_axes": {INPUT: {0: "batch"}}}
    torch.onnx.export(module, (torch.from_numpy(images[:1]),), path, dynamo=False, opset_version=17, **names)


def load(path: Path, threads: int) -> Session:
    """A session of an ONNX file, as a function of normalised float32 images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    ready = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(ready.run(None, {INPUT: images})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that exporter and quantizer print; the twin is checked by the float twin's layers."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


class _Calibration:
    """One batch, once: what ONNX Runtime calls a calibration data reader."""

    def __init__(self, images: Array) -> None:
        self._left: list[Array] = [images]

    def get_next(self) -> dict[str, Any] | None:
        return {INPUT: self._left.pop()} if self._left else None
