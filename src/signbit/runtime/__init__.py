"""Runs packed models without PyTorch: on the native engine, or slowly on the reference interpreter."""

from signbit.runtime.engine import NodePlan
from signbit.runtime.isa import isas
from signbit.runtime.model import Model, NodeTime, Prediction, compile, load  # noqa: A004

__all__ = ["Model", "NodePlan", "NodeTime", "Prediction", "compile", "isas", "load"]
