"""From a trained model to one packed file, with the proof that both compute the same.

`verify` needs torch only to compare a torch model; what lowers one loads it on first use.
"""

from typing import TYPE_CHECKING, Any

from signbit.export.error import ExportError
from signbit.export.verification import Comparison, NodeCheck, Verification
from signbit.export.verifier import verify

if TYPE_CHECKING:
    from signbit.export.file import export, summary
    from signbit.export.lower import to_graph

__all__ = ["Comparison", "ExportError", "NodeCheck", "Verification", "export", "summary", "to_graph", "verify"]


def __getattr__(name: str) -> Any:
    if name in ("export", "summary"):
        from signbit.export import file

        return getattr(file, name)
    if name == "to_graph":
        from signbit.export.lower import to_graph

        return to_graph
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
