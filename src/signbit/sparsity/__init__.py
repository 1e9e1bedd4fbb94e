"""How many weights take the rarer level: budgets that the loss enforces."""

from signbit.sparsity.penalty import density, density_penalty

__all__ = ["density", "density_penalty"]
