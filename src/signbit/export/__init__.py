"""From a trained model to one packed file, with the proof that both compute the same."""

from signbit.export.error import ExportError
from signbit.export.file import export, summary
from signbit.export.lower import to_graph

__all__ = ["ExportError", "export", "summary", "to_graph"]
