"""The network of training_speed.py in Larq, one training step for every line on standard input; answers with the loss.

Started by training_speed.py: PYTHON benchmarks/training_speed_larq.py float32|mixed_bfloat16 BATCH THREADS
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq
import numpy as np
import tensorflow as tf


def network() -> tf.keras.Model:
    """BinaryNet with latent weights clipped to ±1, compiled with Adam."""
    layers = tf.keras.layers
    binary = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    parts = [layers.Input((32, 32, 3))]
    for index, (width, pool) in enumerate([(128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]):
        quantizer = "ste_sign" if index else None
        parts.append(larq.layers.QuantConv2D(width, 3, padding="same", input_quantizer=quantizer, **binary))
        if pool > 1:
            parts.append(layers.MaxPool2D(pool))
        parts.append(layers.BatchNormalization())
    parts.append(layers.Flatten())
    for outputs in (1024, 1024, 10):
        parts += [larq.layers.QuantDense(outputs, input_quantizer="ste_sign", **binary), layers.BatchNormalization()]
    model = tf.keras.Sequential([*parts, layers.Activation("softmax", dtype="float32")])
    model.compile(tf.keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    return model


def main() -> None:
    """Names itself, then steps as it is told."""
    precision, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.mixed_precision.set_global_policy(precision)
    model = network()
    rng = np.random.default_rng(1)
    images = tf.constant(rng.standard_normal((batch, 32, 32, 3)).astype(np.float32))
    labels = tf.constant(rng.integers(0, 10, batch))
    print(f"larq {larq.__version__}", flush=True)
    for _ in sys.stdin:
        print(float(model.train_on_batch(images, labels)), flush=True)


if __name__ == "__main__":
    main()
