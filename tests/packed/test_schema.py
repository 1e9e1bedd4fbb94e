import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from signbit.packed import GraphError, ImagePreparation, Window
from signbit.packed.schema import from_json, scalar_fields, tensor_fields, to_json


@dataclass(frozen=True)
class Sample:
    count: int
    size: tuple[int, int] = (1, 1)
    names: tuple[str, ...] = ()
    scale: float = 1.0
    step: float | None = None
    kind: Literal["a", "b"] = "a"
    pad: Literal[-1, 0, 1] = 1
    flag: bool = False
    window: Window | None = None
    array: object = field(default=None, metadata={"dtype": ("uint8",)})


def test_fields_are_either_json_or_tensors():
    assert tensor_fields(Sample) == {"array": ("uint8",)}
    assert "array" not in scalar_fields(Sample)
    assert set(scalar_fields(Sample)) | {"array"} == set(Sample.__dataclass_fields__)


@pytest.mark.parametrize(
    "value",
    [
        Sample(3),
        Sample(-3, (2, 5), ("x", "y"), 0.1, 2.5, "b", -1, True, Window(kernel=(3, 1), stride=(2, 2))),
        Sample(0, step=1e-38 * 2, scale=3.4e38),
        Window(kernel=(1, 1)),
        ImagePreparation(height=3, width=4, mode="L", resize=5, mean=(0.1,), std=(1 / 3,)),
    ],
)
def test_values_survive_json_and_defaults_are_left_out(value):
    document = to_json(value)
    assert from_json(type(value), json.loads(json.dumps(document))) == value
    for name, stored in document.items():
        assert stored != value.__dataclass_fields__[name].default


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "Sample must be an object"),
        (None, "Sample must be an object"),
        ({}, "Sample lacks some of its fields count"),
        ({"count": 1, "other": 2}, "Sample has no field 'other'"),
        ({"count": 1, "array": []}, "Sample has no field 'array'"),
        ({"count": "1"}, "'count' must be an integer, got '1'"),
        ({"count": True}, "'count' must be an integer, got True"),
        ({"count": 1.0}, "'count' must be an integer, got 1.0"),
        ({"count": None}, "'count' must be an integer, got None"),
        ({"count": 2**53}, "'count' must be an integer"),
        ({"count": 10**400}, r"'count' must be an integer, got 1000+\.\.\.$"),
        ({"count": 1, "size": [1]}, "'size'"),
        ({"count": 1, "size": [1, 2, 3]}, "'size'"),
        ({"count": 1, "size": [1, "2"]}, "'size' must be an integer, got '2'"),
        ({"count": 1, "size": "12"}, "'size'"),
        ({"count": 1, "size": {"0": 1}}, "'size'"),
        ({"count": 1, "names": [1]}, "'names' must be a string"),
        ({"count": 1, "scale": "1"}, "'scale' must be a number"),
        ({"count": 1, "scale": True}, "'scale' must be a number"),
        ({"count": 1, "scale": None}, "'scale' must be a number"),
        ({"count": 1, "scale": 1e39}, "'scale' must be a number in the range of float32"),
        ({"count": 1, "scale": 1e-39}, "'scale' must be a number in the range of float32"),
        ({"count": 1, "scale": -(10**400)}, "'scale' must be a number"),
        ({"count": 1, "scale": float("inf")}, "'scale' must be a number"),
        ({"count": 1, "scale": float("nan")}, "'scale' must be a number"),
        ({"count": 1, "step": "x"}, "'step' must be a number"),
        ({"count": 1, "kind": "c"}, "'kind' must be 'a' or 'b', got 'c'"),
        ({"count": 1, "kind": ["a"]}, "'kind' must be"),
        ({"count": 1, "pad": True}, "'pad' must be -1 or 0 or 1, got True"),
        ({"count": 1, "pad": 1.0}, "'pad' must be"),
        ({"count": 1, "flag": 1}, "'flag' must be true or false, got 1"),
        ({"count": 1, "window": {"kernel": [1]}}, "'kernel'"),
        ({"count": 1, "window": 3}, "Window must be an object"),
        ({"count": 1, "names": "x" * 1000}, r"'names' .{0,90}$"),
    ],
)
def test_what_the_schema_refuses(document, message):
    with pytest.raises(GraphError, match=message):
        from_json(Sample, document)


def test_arrays_come_beside_the_document():
    array = np.zeros(3, np.uint8)
    assert from_json(Sample, {"count": 1}, array=array).array is array
