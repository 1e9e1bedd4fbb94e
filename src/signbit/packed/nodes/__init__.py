"""The vocabulary of a graph: one frozen dataclass per node type, with the rule that types its output.

Nodes are unfused primitives; what each computes is defined by `packed.reference`, and docs/format.md lists them. A
field of arrays names the dtypes it may have; every other field is stored as JSON. `infer` checks the shapes of both
and returns the output edge, or raises `GraphError`.
"""

from signbit.packed.nodes.integers import Lookup, Quantize, Sign, Threshold
from signbit.packed.nodes.moves import Concat, Flatten, Pool, Roll, Select, Where
from signbit.packed.nodes.node import Node, RealNode
from signbit.packed.nodes.products import BinaryConv, BinaryLinear, Conv, Linear, WindowSum
from signbit.packed.nodes.reals import Add, Affine, Gate, HardTanh, Norm, PReLU

__all__ = [
    "NODES",
    "Add",
    "Affine",
    "BinaryConv",
    "BinaryLinear",
    "Concat",
    "Conv",
    "Flatten",
    "Gate",
    "HardTanh",
    "Linear",
    "Lookup",
    "Node",
    "Norm",
    "PReLU",
    "Pool",
    "Quantize",
    "RealNode",
    "Roll",
    "Select",
    "Sign",
    "Threshold",
    "Where",
    "WindowSum",
]

NODES: dict[str, type[Node]] = {
    cls.__name__: cls
    for cls in (
        BinaryConv,
        BinaryLinear,
        WindowSum,
        Conv,
        Linear,
        Lookup,
        Affine,
        Threshold,
        Sign,
        Quantize,
        Add,
        Concat,
        Pool,
        PReLU,
        HardTanh,
        Norm,
        Gate,
        Where,
        Select,
        Roll,
        Flatten,
    )
}
"""Every node type by the name it has in a file."""
