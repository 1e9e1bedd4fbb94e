"""Descriptions given straight to the native builder: whatever is wrong gives a ValueError, never a crash."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import CASES, values
from runtime.test_networks import small_network
from signbit.runtime.handover import describe_inputs, describe_nodes

INTEGERS = st.sampled_from([-(2**63), -(2**31) - 1, -1, 0, 1, 2, 3, 63, 64, 65, 2**16, 2**27, 2**31, 2**62, 2**63 - 1])
ANYTHING = st.one_of(
    INTEGERS, st.floats(), st.booleans(), st.text(max_size=3), st.lists(INTEGERS, max_size=11), st.none()
)

KINDS = st.sampled_from(["Image", "Bits", "Int", "Real"])
SHAPES = st.one_of(st.tuples(INTEGERS), st.tuples(INTEGERS, INTEGERS, INTEGERS))


@pytest.fixture
def build(native):
    from signbit import _native

    def build(inputs, nodes, output, isa="generic", threads=1):
        return _native.Plan(inputs, nodes, output, isa, threads)

    return build


def described(seed=0):
    graph = small_network(np.random.default_rng(seed))
    return describe_inputs(graph), describe_nodes(graph), graph.output


def test_the_description_is_right_to_begin_with(build):
    build(*described())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, ns: ns[0].update(op="Nonsense"), "node 'stem': unknown operator 'Nonsense'"),
        (lambda i, ns: ns[1].update(inputs=["nobody"]), "node 'bits1': input 'nobody' is not an earlier node"),
        (lambda i, ns: ns[1].update(inputs=["body"]), "not an earlier node"),
        (lambda i, ns: ns[1].update(inputs=[]), "cannot take 0 inputs"),
        (lambda i, ns: ns[1].update(inputs=["stem"] * 3), "cannot take 3 inputs"),
        (lambda i, ns: ns[1].update(name="stem"), "the name is empty or taken"),
        (lambda i, ns: ns[0]["attributes"].update(filters=2**40), "filters is 1099511627776"),
        (lambda i, ns: ns[0]["attributes"].update(filters=-1), "filters is -1"),
        (lambda i, ns: ns[0]["attributes"].update(filters=71), "tensor 'weight' does not hold 71 filters of 27 bits"),
        (lambda i, ns: ns[0]["attributes"].update(groups=2), "do not divide into 2 groups"),
        (lambda i, ns: ns[0]["attributes"].update(pad_value=2), "pad_value is 2"),
        (lambda i, ns: ns[0]["attributes"].update(window=[3, 3, 1, 1, 9, 1, 1, 1, 1, 1]), "window does not fit"),
        (lambda i, ns: ns[0]["attributes"].update(window=[3, 3, 0, 1, 1, 1, 1, 1, 1, 1]), "window has the value 0"),
        (lambda i, ns: ns[0]["attributes"].update(window=[2**40] * 10), "window has the value"),
        (lambda i, ns: ns[0]["attributes"].update(window=[3, 3]), "window is not 10 integers"),
        (lambda i, ns: ns[0]["attributes"].pop("window"), "window is not 10 integers"),
        (lambda i, ns: ns[0]["tensors"].pop("weight"), "node 'stem' (BinaryConv): tensor 'weight' is missing"),
        (lambda i, ns: ns[0]["tensors"].update(weight=np.zeros(3, np.uint8)), "does not hold 70 filters"),
        (lambda i, ns: ns[0]["tensors"].update(weight=np.zeros(237, np.float64)), "neither uint8, int8, int32"),
        (lambda i, ns: ns[1]["tensors"].update(threshold=np.zeros((70, 2), np.int32)), "'threshold' has shape (70, 2)"),
        (lambda i, ns: ns[1]["tensors"].update(threshold=np.zeros(70, np.uint8)), "'threshold' has the wrong dtype"),
        (lambda i, ns: ns[1]["tensors"].update(direction=np.zeros(70, np.int8)), "other than -1 and 1"),
        (lambda i, ns: ns[6].update(inputs=["bits2"]), "needs an input of (features,)"),
        (lambda i, ns: i[0][1].update(kind="Sound"), "unknown kind of edge 'Sound'"),
        (lambda i, ns: i[0][1].update(shape=(3, 8)), "neither one nor three dimensions"),
        (lambda i, ns: i[0][1].update(shape=(3, -8, 8)), "not within 1..2^26"),
        (lambda i, ns: i[0][1].update(shape=(2**20, 2**20, 2**20)), "has more than 67108864 values"),
        (lambda i, ns: i[0][1].update(kind="Int", low=-(2**40), high=0), "do not fit in 32 bits"),
        (lambda i, ns: i[0][1].update(kind="Bits", planes=3), "1 or 2 planes"),
        (lambda i, ns: i.append(i[0]), "given twice"),
        (lambda i, ns: i.clear(), "there is no input"),
        (lambda i, ns: ns.extend({**ns[0], "name": str(k)} for k in range(10_000)), "are more than 10000"),
    ],
)
def test_one_wrong_field_is_named(build, change, message):
    inputs, nodes, output = described()
    change(inputs, nodes)
    with pytest.raises(ValueError, match=r".") as error:
        build(inputs, nodes, output)
    assert message in str(error.value)


def test_other_arguments_are_checked(build):
    inputs, nodes, output = described()
    with pytest.raises(ValueError, match="output 'nobody' is not a node"):
        build(inputs, nodes, "nobody")
    for threads in (0, -1, 257):
        with pytest.raises(ValueError, match="threads must be"):
            build(inputs, nodes, output, threads=threads)
    with pytest.raises(ValueError, match="instruction set 'mmx' is not usable"):
        build(inputs, nodes, output, isa="mmx")
    with pytest.raises(ValueError, match="lacks one of its fields"):
        build(inputs, [{}], output)
    with pytest.raises(ValueError, match="wrong type"):
        build(inputs, [{**nodes[0], "name": 3}], output)


def test_batches_are_checked(build):
    inputs, nodes, output = described()
    plan = build(inputs, nodes, output)
    x, y = np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 10), np.int32)
    plan.run([x], y)
    for batches, out in [
        ([], y), ([x, x], y), ([x[:1]], y), ([x.astype(np.int32)], y), ([x[:, :, :4]], y), ([x[0]], y),
        ([x], y[:1]), ([x], y.astype(np.float32)), ([x], y[:, :9].copy()), ([x], y[0]),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"is not a batch of|another number of inputs"):
            plan.run(batches, out)
    for repeats in (0, -5):
        with pytest.raises(ValueError, match="repeats"):
            plan.profile([x], y, repeats)


@pytest.mark.parametrize(("kind", "value"), [("Int", 6), ("Int", -1), ("Bits", 0), ("Bits", 3)])
def test_values_outside_their_edge_are_refused(build, kind, value):
    inputs = [("x", {"kind": kind, "shape": (4,), "planes": 1, "low": 0, "high": 5})]
    plan = build(inputs, [], "x")
    x = np.ones((1, 4), np.int8 if kind == "Bits" else np.int32)
    plan.run([x], x.copy())
    x[0, 2] = value
    with pytest.raises(ValueError, match="input 'x' holds a value"):
        plan.run([x], x.copy())


@pytest.mark.parametrize("op", CASES)
@settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_random_damage_never_crashes(build, op, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    graph = CASES[op](data.draw, rng)
    inputs, nodes = describe_inputs(graph), describe_nodes(graph)
    (node,) = nodes
    for _ in range(data.draw(st.integers(1, 2))):
        field = data.draw(st.sampled_from(["attributes", "tensors", "edge", "inputs"]))
        if field == "edge":
            edge = data.draw(st.sampled_from(inputs))[1]
            key = data.draw(st.sampled_from(sorted(edge)))
            edge[key] = data.draw({"kind": KINDS, "shape": SHAPES}.get(key, INTEGERS))
        elif field == "inputs":
            node["inputs"] = data.draw(st.lists(st.sampled_from([*graph.inputs, "y"]), max_size=4))
        elif node[field]:
            key = data.draw(st.sampled_from(sorted(node[field])))
            if field == "tensors":
                shape = data.draw(st.sampled_from([(), (0,), (1,), (2, 0), (3, 256), node[field][key].shape[:1]]))
                node[field][key] = np.full(
                    shape, 7, data.draw(st.sampled_from([np.uint8, np.int8, np.int32, np.float32]))
                )
            else:
                node[field][key] = data.draw(ANYTHING)
    try:
        plan = build(inputs, nodes, graph.output)
    except ValueError as error:
        assert str(error)  # noqa: PT017
        return
    kind, shape, _low, _high = plan.edges()[0]
    if all(edge["shape"] == graph.inputs[name].shape for name, edge in inputs):
        dtype = {"Image": np.uint8, "Bits": np.int8, "Int": np.int32, "Real": np.float32}[kind]
        batches = [values(rng, graph.inputs[name], 2) for name, _ in inputs]
        try:
            plan.run(batches, np.empty((2, *shape), dtype))
        except ValueError as error:
            assert "input" in str(error)  # noqa: PT017
