"""Which weights of a model are binary: the one place that knows.

A flag on the tensor would vanish on `copy.deepcopy` and on `load_state_dict(assign=True)`; a name or a shape says
nothing. The module that owns a tensor knows what it is, so the module is asked.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import nn

__all__ = ["BinaryOwner", "named_binary_parameters", "named_real_weights"]


class BinaryOwner(nn.Module, ABC):
    """A module that owns binary tensors."""

    @abstractmethod
    def binary_parameters(self) -> tuple[str, ...]:
        """Names of the parameters of this very module (not of its children) whose signs are what it computes with."""

    @abstractmethod
    def real_weights(self) -> tuple[str, ...]:
        """Names of those that would be binary if they had a quantizer: it computes with their values for now."""


def named_binary_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yields the binary parameters of a model, under the names `model.named_parameters()` gives them.

    A tensor shared by several layers comes once, under its first name. While `torch.nn.utils.prune` keeps a tensor as
    NAME_orig, that parameter stands for NAME.

    Args:
        model: any module; every `BinaryOwner` in it is asked.

    Raises:
        ValueError: a `BinaryOwner` names a tensor that is not a parameter of it.
    """
    return _named(model, lambda owner: owner.binary_parameters())


def named_real_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yields the weights of a model's binary layers that have no quantizer, as in the first of two stages.

    Names, order and errors are those of `named_binary_parameters`, which gives none of them.
    """
    return _named(model, lambda owner: owner.real_weights())


def _named(model: nn.Module, names: Callable[[BinaryOwner], tuple[str, ...]]) -> Iterator[tuple[str, nn.Parameter]]:
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        if not isinstance(module, BinaryOwner):
            continue
        own = dict(module.named_parameters(recurse=False))
        for name in names(module):
            found = next((key for key in (name, f"{name}_orig") if key in own), None)
            if found is None:
                raise ValueError(
                    f"{path or type(module).__name__}: its binary tensor {name!r} is not a parameter of the layer; "
                    "remove the parametrization or the replacement that hides it"
                )
            if own[found] not in seen:
                seen.add(own[found])
                yield (f"{path}.{found}" if path else found), own[found]
