"""Optimizers of binary weights, with and without latent weights, and what schedules and watches them."""

from signbit.optim.bamsprod import BAMSProd
from signbit.optim.bop import Bop
from signbit.optim.bop2ndorder import Bop2ndOrder
from signbit.optim.flips import FlipCounter
from signbit.optim.hybrid import Hybrid
from signbit.optim.latent import Latent
from signbit.optim.latent_free import LatentFree
from signbit.optim.schedule import Constant, Cosine, Exponential, Linear, Polynomial, Staircase, WarmUp
from signbit.optim.scheduler import HyperparameterScheduler

__all__ = [
    "BAMSProd",
    "Bop",
    "Bop2ndOrder",
    "Constant",
    "Cosine",
    "Exponential",
    "FlipCounter",
    "Hybrid",
    "HyperparameterScheduler",
    "Latent",
    "LatentFree",
    "Linear",
    "Polynomial",
    "Staircase",
    "WarmUp",
]
