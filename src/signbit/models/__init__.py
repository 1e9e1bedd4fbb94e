"""Networks built of binary layers, by name."""

from signbit.models.mlp import mnist_mlp
from signbit.models.registry import create_model, list_models, register_model
from signbit.models.vgg import digits_cnn, mnist_cnn

__all__ = ["create_model", "digits_cnn", "list_models", "mnist_cnn", "mnist_mlp", "register_model"]
