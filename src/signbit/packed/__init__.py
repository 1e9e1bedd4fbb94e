"""The packed model: its graph, its file, and the reference interpreter that defines both. Needs numpy, not torch."""

from signbit.packed.container import PackedFileError, dumps, load, save
from signbit.packed.edges import Bits, Edge, GraphError, Image, Int, Real
from signbit.packed.graph import Graph
from signbit.packed.image import ImagePreparation
from signbit.packed.nodes import NODES, Node
from signbit.packed.report import Report, inspect
from signbit.packed.window import Window

__all__ = [
    "NODES",
    "Bits",
    "Edge",
    "Graph",
    "GraphError",
    "Image",
    "ImagePreparation",
    "Int",
    "Node",
    "PackedFileError",
    "Real",
    "Report",
    "Window",
    "dumps",
    "inspect",
    "load",
    "save",
]
