"""What an optimizer refuses before it writes anything: gradients and saved states that it cannot use."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = [
    "check_dense",
    "check_finite",
    "check_gradients",
    "check_saved",
    "check_structure",
    "named",
    "saved_states",
]


def named(group: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yields name and tensor of each parameter of a group; its position where it has no name."""
    names = group.get("param_names") or [f"parameter {index}" for index in range(len(group["params"]))]
    yield from zip(names, group["params"], strict=True)


def check_dense(name: str, gradient: Tensor) -> None:
    """Refuses a gradient that is sparse or complex."""
    if gradient.layout != torch.strided or gradient.is_complex():
        raise ValueError(
            f"{name}: the gradient must be dense and real, got {gradient.layout} of {gradient.dtype}; "
            "give this parameter to another optimizer"
        )


def check_finite(name: str, gradient: Tensor, step: int) -> None:
    """Refuses a gradient with a value that is not finite.

    Args:
        name: of its parameter.
        gradient: of any layout.
        step: number of the step, from 1 on.
    """
    values = gradient.coalesce().values() if gradient.layout == torch.sparse_coo else gradient
    if values.layout != torch.strided or values.numel() == 0:
        return
    low, high = (torch.view_as_real(values) if values.is_complex() else values).aminmax()
    if not math.isfinite(low.float() + high.float()):
        raise ValueError(
            f"{name}: its gradient is not finite in step {step} since this optimizer was built or loaded, so that "
            "nothing was changed; lower the learning rate of the real parameters, or skip such steps as "
            "torch.amp.GradScaler does"
        )


def check_gradients(optimizer: Optimizer, step: int) -> None:
    """Refuses gradients of any torch optimizer's parameters that are not finite."""
    for group in optimizer.param_groups:
        for name, parameter in named(group):
            if parameter.grad is not None:
                check_finite(name, parameter.grad, step)


def check_structure(kind: str, state_dict: object) -> None:
    """Refuses what is no optimizer's state dict at all, as a damaged or foreign checkpoint may hold.

    Args:
        kind: name of the optimizer that is to load it.
        state_dict: anything.
    """
    saved = state_dict if isinstance(state_dict, Mapping) else {}
    state, groups = saved.get("state"), saved.get("param_groups")
    right = isinstance(state, Mapping) and all(isinstance(values, Mapping) for values in state.values())
    if not (
        right
        and isinstance(groups, list)
        and all(isinstance(group, Mapping) and isinstance(group.get("params"), list) for group in groups)
    ):
        raise ValueError(
            f"{kind} cannot load this state: it lacks 'state', with a dictionary for each parameter, or "
            "'param_groups', each with its 'params'; load what state_dict() gave"
        )


def check_saved(
    optimizer: Optimizer,
    state_dict: Mapping[str, Any],
    *,
    shaped: Collection[str] | None = None,
    expected: Collection[str] | None = None,
) -> None:
    """Refuses a saved state that belongs to another optimizer or to parameters of other shapes.

    Args:
        optimizer: who is to load it.
        state_dict: as `optimizer.state_dict()` gave it.
        shaped: keys of the state whose tensors have their parameter's shape; None asks of every tensor with as many
            dimensions that it broadcasts to its parameter.
        expected: keys of a parameter's state; None allows any.
    """
    kind = type(optimizer).__name__
    check_structure(kind, state_dict)
    # Unpickling leaves a default in torch's optimizers that their groups do not have.
    known = optimizer.defaults.keys() & optimizer.param_groups[0].keys()
    for group in state_dict["param_groups"]:
        missing = sorted(known - group.keys())
        # Later versions of torch add keys to an optimizer; a group of another one has some that this one lacks.
        if missing and (shaped is not None or _foreign(group.keys() - known)):
            raise ValueError(
                f"{kind} cannot load the state of another optimizer: a saved group has no {', '.join(missing)}; "
                "build the optimizer that saved it"
            )
    for weight, state in saved_states(optimizer, state_dict):
        if state and expected is not None and state.keys() != set(expected):
            raise ValueError(
                f"{kind} cannot load the state of another optimizer: it holds {', '.join(sorted(map(str, state)))} "
                f"instead of {', '.join(sorted(expected))}; build the optimizer that saved it"
            )
        for key in state if shaped is None else shaped if state else ():
            if shaped is not None and not isinstance(state[key], Tensor):
                raise ValueError(
                    f"{kind} cannot load this state: {key} is {type(state[key]).__name__}, not a tensor; load what "
                    "state_dict() gave"
                )
            if isinstance(state[key], Tensor) and not _fits(state[key], weight, exactly=shaped is not None):
                raise ValueError(
                    f"{kind} cannot load this state: {key} has shape {tuple(state[key].shape)}, its weight "
                    f"{tuple(weight.shape)}; load it for the model it was saved with"
                )


def saved_states(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> Iterable[tuple[Tensor, Mapping[str, Any]]]:
    """Pairs of each parameter and its saved state, in order; empty where it has none."""
    ids = [index for group in state_dict["param_groups"] for index in group["params"]]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return [(weight, state_dict["state"].get(index, {})) for index, weight in zip(ids, weights, strict=False)]


def _foreign(keys: Collection[str]) -> list[str]:
    """Keys that neither torch's groups have of themselves nor its schedulers leave in them."""
    return [key for key in keys if key not in ("params", "param_names") and not key.endswith(("_lr", "_momentum"))]


def _fits(saved: Tensor, weight: Tensor, *, exactly: bool) -> bool:
    if exactly:
        return saved.shape == weight.shape
    if saved.dim() != weight.dim():
        return True
    return all(size in (1, full) for size, full in zip(saved.shape, weight.shape, strict=True))
