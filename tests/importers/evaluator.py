"""The operators of FINN and QONNX for the ONNX reference evaluator."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx.reference.op_run import OpRun  # noqa: E402
from onnx.reference.ops.op_batch_normalization import _batchnorm_test_mode  # noqa: E402


class MultiThreshold(OpRun):
    """The custom operator by explicit loops, for the ONNX reference evaluator."""

    op_domain = "finn.custom_op.general"

    def _run(self, x, thresholds, out_scale=1.0, out_bias=0.0, out_dtype=None, data_layout=None):
        out = np.zeros_like(x)
        for c in range(x.shape[1]):
            for t in thresholds[c % len(thresholds)]:
                out[:, c] += x[:, c] >= t
        return (np.float32(out_scale) * out + np.float32(out_bias),)


class BipolarQuant(OpRun):
    op_domain = "qonnx.custom_op.general"

    def _run(self, x, scale):
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


class BatchNormalization(OpRun):
    """Inference with one output; before opset 14 onnx's own class mixes in the statistics of the batch."""

    op_domain = ""

    def _run(self, x, scale, offset, mean, variance, epsilon=1e-5, **training):
        return (_batchnorm_test_mode(x, scale, offset, mean, variance, epsilon),)


def onnx_tensors(model, x):
    """Every tensor of the model for one float32 batch, by the ONNX reference evaluator."""
    session = ReferenceEvaluator(model, new_ops=[MultiThreshold, BipolarQuant, BatchNormalization])
    return session.run(None, {model.graph.input[0].name: x}, intermediate=True)


OPSETS = [
    helper.make_opsetid("", 12),
    helper.make_opsetid("finn.custom_op.general", 1),
    helper.make_opsetid("qonnx.custom_op.general", 1),
]
