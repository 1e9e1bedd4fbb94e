"""What modules inside a network give, while the network itself stays as it is."""

from collections.abc import Sequence
from typing import Any, final

from torch import Tensor, nn

from signbit.wording import nearest, suggest

__all__ = ["Maps"]


@final
class Maps:
    """Keeps the last results of some modules of a network.

        maps = Maps(network, ["stage1", "stage2"])
        scores = network(images)
        first, second = maps.take()

    Args:
        network: any module; its state dict does not change.
        names: modules by their names in `network.named_modules()`; empty takes the feature maps that the networks of
            `signbit.models` name themselves (`network.feature_info`).
    """

    def __init__(self, network: nn.Module, names: Sequence[str] = ()) -> None:
        self.names = [*names] or _own_names(network)
        self._found: dict[str, Tensor] = {}
        known = dict(network.named_modules())
        for name in self.names:
            if name not in known or not name:
                children = [key for key, _ in network.named_children()]
                raise ValueError(f"the network has no module {name!r}; {suggest(nearest(name, known), children)}")
        self._handles = [known[name].register_forward_hook(self._keeper(name)) for name in self.names]

    def _keeper(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._found[name] = output

        return keep

    def take(self) -> list[Tensor]:
        """The maps of the last forward pass, in the order of the names; they are forgotten then."""
        found = [self._found[name] for name in self.names]
        self._found.clear()
        return found

    def remove(self) -> None:
        """Leaves the network alone from now on."""
        for handle in self._handles:
            handle.remove()


def _own_names(network: nn.Module) -> list[str]:
    info = getattr(network, "feature_info", None)
    names: list[str] = [] if info is None else info.module_name()
    if not names:
        children = ", ".join(name for name, _ in network.named_children())
        raise ValueError(
            f"{type(network).__name__} does not say which feature maps it has; name modules, such as {children}"
        )
    return names
