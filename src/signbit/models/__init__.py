"""Networks built of binary layers, by name."""

from signbit.models.binary_alexnet import binary_alexnet
from signbit.models.binarynet import binarynet, binarynet_valid
from signbit.models.birealnet import birealnet18, birealnet34, react_resnet18, react_resnet34
from signbit.models.mlp import mnist_mlp
from signbit.models.network import Feature, FeatureInfo, FeatureMaps, Network
from signbit.models.quicknet import quicknet, quicknet_large, quicknet_small
from signbit.models.reactnet import reactnet_a, reactnet_b, reactnet_c
from signbit.models.registry import create_model, image_shape, is_model, list_models, model_options, register_model
from signbit.models.residual import ResidualBlock, residual_network
from signbit.models.resnet_cifar import resnet18_cifar, resnet20_cifar
from signbit.models.vgg import digits_cnn, mnist_cnn
from signbit.models.vgg_small import vgg_small
from signbit.models.xnornet import xnornet_alexnet, xnornet_alexnet_larq

__all__ = [
    "Feature",
    "FeatureInfo",
    "FeatureMaps",
    "Network",
    "ResidualBlock",
    "binary_alexnet",
    "binarynet",
    "binarynet_valid",
    "birealnet18",
    "birealnet34",
    "create_model",
    "digits_cnn",
    "image_shape",
    "is_model",
    "list_models",
    "mnist_cnn",
    "mnist_mlp",
    "model_options",
    "quicknet",
    "quicknet_large",
    "quicknet_small",
    "react_resnet18",
    "react_resnet34",
    "reactnet_a",
    "reactnet_b",
    "reactnet_c",
    "register_model",
    "residual_network",
    "resnet18_cifar",
    "resnet20_cifar",
    "vgg_small",
    "xnornet_alexnet",
    "xnornet_alexnet_larq",
]
