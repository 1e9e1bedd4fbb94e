"""From a recipe to a run directory: training with Lightning, evaluation, and recipes as YAML."""

from signbit.training.datasets import load_part
from signbit.training.evaluate import Evaluation, evaluate, evaluate_run
from signbit.training.module import InterruptError, TrainingError
from signbit.training.optimizers import is_latent_free
from signbit.training.parse import load_recipe, override, save_recipe, split_words, stage_recipes
from signbit.training.recipe import DataConfig, LossConfig, ModelConfig, OptimConfig, PenaltyConfig, Recipe, Schedule
from signbit.training.results import record_result
from signbit.training.run import Run, load_run, read_metrics
from signbit.training.train import Result, resume, train

__all__ = [
    "DataConfig",
    "Evaluation",
    "InterruptError",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PenaltyConfig",
    "Recipe",
    "Result",
    "Run",
    "Schedule",
    "TrainingError",
    "evaluate",
    "evaluate_run",
    "is_latent_free",
    "load_part",
    "load_recipe",
    "load_run",
    "override",
    "read_metrics",
    "record_result",
    "resume",
    "save_recipe",
    "split_words",
    "stage_recipes",
    "train",
]
