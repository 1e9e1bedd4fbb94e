"""How many weights take the rarer level, and which: budgets, masks that move, and a share of the loss."""

from signbit.sparsity.budgets import Distribution, erk
from signbit.sparsity.explored import expected_explored
from signbit.sparsity.masks import adopt_pruning, attach_masks, masked_layers
from signbit.sparsity.moving import drop_rate
from signbit.sparsity.penalty import density, density_penalty
from signbit.sparsity.selection import Pattern, largest_mask, parse_pattern
from signbit.sparsity.settings import Criterion, Method, SparsityConfig
from signbit.sparsity.sizes import draw_sizes
from signbit.sparsity.sparsifier import Sparsifier

__all__ = [
    "Criterion",
    "Distribution",
    "Method",
    "Pattern",
    "Sparsifier",
    "SparsityConfig",
    "adopt_pruning",
    "attach_masks",
    "density",
    "density_penalty",
    "draw_sizes",
    "drop_rate",
    "erk",
    "expected_explored",
    "largest_mask",
    "masked_layers",
    "parse_pattern",
]
