"""Reads pickles of plain values and numpy arrays, and nothing that could run code."""

import io
import pickle
from pathlib import Path
from typing import Any, final

import numpy as np
from typing_extensions import override

from signbit.data.error import DataError


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of old protocols write bytes: `_codecs.encode(text, "latin1")`."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding}")
    return text.encode(encoding)


_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): _latin1,
}


@final
class _PlainUnpickler(pickle.Unpickler):
    @override
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return _ALLOWED[module_name, global_name]


def read_pickle(path: Path) -> dict[bytes, Any]:
    """A pickled dictionary of numbers, text, lists and numpy arrays; text of Python 2 comes as bytes.

    Raises:
        DataError: damaged, no dictionary, or a pickle that asks for anything else.
    """
    data = path.read_bytes()
    try:
        value = _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(
            f"{path} is truncated, damaged or not a pickle of plain arrays ({_reason(error)}); get it again"
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, not a dictionary; get it again")
    return {key.encode() if isinstance(key, str) else key: item for key, item in value.items()}


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
