"""Networks that other tools trained, as packed graphs. Needs no torch; reading ONNX files needs the package onnx."""

from signbit.importers.finn import from_finn

__all__ = ["from_finn"]
