"""From a torch model to a graph: trace with torch.fx, then lower node by node by the tables of `export.rules`."""

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize, prune

from signbit.export import arithmetic, binary, elementwise, moves, pooling, real  # noqa: F401  (fill the tables)
from signbit.export.builder import Builder, Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.rules import FUNCTIONS, MODULES, Rule
from signbit.export.steps import Normalise
from signbit.packed.bits import Array
from signbit.packed.edges import WeightFormat
from signbit.packed.graph import Graph
from signbit.packed.image import ImagePreparation
from signbit.quantizers import Quantizer

_IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv, torch.relu_}

_INSTEAD = {
    "ConvTranspose": "BinaryConv2d after nearest-neighbour data of full size",
    "Conv1d": "Conv2d with a kernel (1, k)",
    "Conv3d": "Conv2d",
    "InstanceNorm": "BatchNorm2d",
    "Softmax": "nothing: predict applies the softmax to the output",
    "LogSoftmax": "nothing: predict applies the softmax to the output",
}


def to_graph(
    model: nn.Module,
    *,
    image: ImagePreparation,
    labels: Sequence[str] = (),
    stem: WeightFormat = "float32",
    dense: WeightFormat = "float32",
    calibration: Array | None = None,
) -> Graph:
    """Lowers `model`, as it is in eval mode, to a graph that reads the pixels of `image`; the model is not changed.

    Args:
        model: takes normalised images (N, C, H, W) float32, gives one tensor.
        image: size and normalisation of the images.
        labels: class names, or none.
        stem: number format of real weights that read the image; "int8" reads the pixels as 8-bit integers.
        dense: number format of all other real weights (1x1 shortcuts, classifier); "int8" needs `calibration`.
        calibration: pixels uint8 (N, C, H, W) from which `dense="int8"` takes the range of each layer's input.

    Raises:
        ExportError: something in the model has no packed form; the message says where, and what would pack instead.
    """
    for name, value in (("stem", stem), ("dense", dense)):
        if value not in ("float32", "int8"):
            raise ValueError(f"{name} must be 'float32' or 'int8', got {value!r}")
    if dense == "int8" and calibration is None:
        raise ValueError("dense='int8' needs calibration=, a batch of pixels uint8 (N, C, H, W)")
    copied = frozen(model)
    copied = nn.Sequential(copied) if _rule(copied) is not None else copied
    ranges = {} if calibration is None else input_ranges(copied, image.normalize(calibration))
    context = Context(builder=Builder(image), image=image, stem=stem, dense=dense, ranges=ranges)
    entry = context.builder.value(Builder.INPUT, Normalise(path="normalise", table=image.table()))
    with torch.no_grad():
        result = _Lowering(copied, context).run(entry)
    if not isinstance(result, Value):
        raise ExportError(f"the model must return one tensor that depends on its input, got {type(result).__name__}")
    return context.builder.graph(context.builder.emit(result), tuple(labels))


def frozen(model: nn.Module) -> nn.Module:
    """A copy of `model` in eval mode, on the CPU, in float32, its pruning and parametrizations made permanent.

    What torch.compile and data parallelism wrap around a model is taken off.
    """
    model = _unwrapped(model)
    # A pruned or parametrised weight is the result of a computation, which deepcopy refuses; hand it a plain copy.
    derived = [t for m in model.modules() for t in vars(m).values() if isinstance(t, Tensor) and not t.is_leaf]
    copied = copy.deepcopy(model, {id(t): t.detach().clone() for t in derived}).cpu().float().eval()
    for module in copied.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, prune.BasePruningMethod):
                hook.remove(module)
                del module._forward_pre_hooks[key]
        if parametrize.is_parametrized(module):
            _fix_parametrizations(module)
    return copied.requires_grad_(False)


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(compiled := getattr(model, "_orig_mod", None), nn.Module):
            model = compiled
        else:
            return model


def _fix_parametrizations(module: nn.Module) -> None:
    # Not torch's remove_parametrizations: it edits the class, which the copy shares with the original.
    names = list(module.get_submodule("parametrizations")._modules)
    tensors = {name: getattr(module, name) for name in names}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, tensor in tensors.items():
        module.register_parameter(name, nn.Parameter(tensor.detach()))


def evaluator(model: nn.Module, image: ImagePreparation) -> Callable[[Array], Array]:
    """The function from pixels uint8 (N, C, H, W) to the outputs that a copy of `model` gives in eval mode."""
    copied = frozen(model)

    def run(pixels: Array) -> Array:
        with torch.no_grad():
            output: Array = copied(torch.from_numpy(image.normalize(pixels))).numpy()
        return output

    return run


def input_ranges(model: nn.Module, batch: Array) -> dict[str, float]:
    """Largest magnitude of the first input of every module, by path, over a normalised batch."""
    ranges: dict[str, float] = {}

    def watch(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if inputs and isinstance(inputs[0], Tensor):
                ranges[path] = max(ranges.get(path, 0.0), float(inputs[0].abs().max()))

        return hook

    handles = [m.register_forward_pre_hook(watch(path)) for path, m in model.named_modules()]
    with torch.no_grad():
        model(torch.from_numpy(batch))
    for handle in handles:
        handle.remove()
    return ranges


class _Tracer(fx.Tracer):
    """Leaves are the modules that have a rule, all quantizers, and all of torch's and signbit's own layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = type(m).__module__.startswith(("torch.nn", "torch.ao", "signbit.nn"))
        return _rule(m) is not None or (own and not isinstance(m, nn.Sequential))


def _rule(module: nn.Module) -> Rule | None:
    if isinstance(module, Quantizer):
        return lambda context, path, quantizer, x: context.sign(x, quantizer, path)
    return MODULES.get(type(module))


def _traced(model: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(model)
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"{type(model).__name__} cannot be traced by torch.fx ({error}); its forward must not branch or "
            "loop on the values of tensors"
        ) from error


class _Lowering(fx.Interpreter):
    """Runs a traced model on `Value`s instead of tensors."""

    def __init__(self, model: nn.Module, context: Context) -> None:
        # Not a GraphModule: its own attributes, such as `code`, would hide modules of these names.
        super().__init__(model, graph=_traced(model))
        self.extra_traceback = False
        self._context = context
        self._node: fx.Node = next(iter(self.graph.nodes))

    def run_node(self, n: fx.Node) -> Any:
        self._node = n
        result = super().run_node(n)
        if isinstance(result, Value) and len(n.users) > 1:
            self._context.builder.shared.add((result.source, result.steps))
        if self._in_place(n):
            self.env[n.all_input_nodes[0]] = result
        return result

    def _in_place(self, n: fx.Node) -> bool:
        """Whether the node overwrites its first input, so that later readers of that see the result."""
        if n.op == "call_module":
            return getattr(self.fetch_attr(str(n.target)), "inplace", False) is True
        written = n.op == "call_method" and str(n.target).endswith("_")
        return written or n.target in _IN_PLACE or n.kwargs.get("inplace", False) is True

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path, module = str(target), self.fetch_attr(target)
        if (rule := _rule(module)) is None:
            raise ExportError(_unsupported(path, module))
        return self._apply(rule, path, module, *args, **kwargs)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(target, args, kwargs, target)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(target, args, kwargs, lambda x, *rest, **named: getattr(x, target)(*rest, **named))

    def _call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], plain: Any) -> Any:
        found: list[Value] = []
        fx.node.map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Value) else None)
        if not found:
            return plain(*args, **kwargs)
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        scope = next(reversed(self._node.meta.get("nn_module_stack") or [""]))
        path = f"{scope}.{name}".lstrip(".")
        if (rule := FUNCTIONS.get(target)) is None:
            instead = (
                "signbit.nn.Sign (torch's sign of 0 is 0)" if name == "sign" else "modules of torch.nn and signbit.nn"
            )
            raise ExportError(f"{path}: the function {name!r} has no packed form; use {instead}")
        return self._apply(rule, path, *args, **kwargs)

    def _apply(self, rule: Rule, path: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return rule(self._context, path, *args, **kwargs)
        except TypeError as error:
            raise ExportError(f"{path}: these arguments have no packed form ({error})") from error


def _unsupported(path: str, module: nn.Module) -> str:
    name = type(module).__name__
    instead = next((better for key, better in _INSTEAD.items() if key in name), None)
    known = ", ".join(sorted({cls.__name__ for cls in MODULES}))
    advice = f"use {instead}" if instead is not None else f"what packs: {known}"
    return f"{path}: {type(module).__module__}.{name} has no packed form; {advice}"
