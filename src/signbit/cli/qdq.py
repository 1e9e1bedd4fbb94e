"""The int8 twin of a network that branches: the float twin, quantized by ONNX Runtime (QDQ, static, calibrated)."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from signbit.cli.twins import NoTwinError
from signbit.packed.bits import Array

INPUT = "images"


def session(twin: nn.Module, calibration: Array, *, threads: int) -> Callable[[Array], Array]:
    """An int8 ONNX Runtime session of a float twin, as a function of normalised float32 images.

    Args:
        twin: the float32 network.
        calibration: normalised images (N, C, H, W) whose activations set the steps.
        threads: for one operator; operators run one after another.

    Raises:
        NoTwinError: onnx or onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise NoTwinError(f"{error.name} is not installed: pip install 'signbit[onnx]'") from None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        names: dict[str, Any] = {"input_names": [INPUT], "dynamic_axes": {INPUT: {0: "batch"}}}
        torch.onnx.export(twin, (torch.from_numpy(calibration[:1]),), source, dynamo=False, opset_version=17, **names)
        quantize_static(
            source,
            target,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        ready = onnxruntime.InferenceSession(target.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(ready.run(None, {INPUT: images})[0])


class _Calibration:
    """One batch, once: what ONNX Runtime calls a calibration data reader."""

    def __init__(self, images: Array) -> None:
        self._left: list[Array] = [images]

    def get_next(self) -> dict[str, Any] | None:
        return {INPUT: self._left.pop()} if self._left else None
