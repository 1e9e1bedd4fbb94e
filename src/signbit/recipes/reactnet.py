"""ReActNet (2003.03488): the same two stages as AdamBNN's, which came later and changed the decay and the length.

As released: 128 epochs of each stage, weight decay 1e-5 in the first. The released second stage begins with fresh
binary weights, because a loader passed over names that do not fit; here it begins with those of the first.
"""

from dataclasses import replace

from signbit.recipes.adambnn import ADAMBNN_IMAGENET, two_steps

__all__ = ["REACTNET_IMAGENET"]

REACTNET_IMAGENET = (replace(ADAMBNN_IMAGENET[0], name="reactnet-imagenet", epochs=128, stages=two_steps(decay=1e-5)),)
"""ReActNet-A; `--model.name react_resnet18 --batch_size 512 --optim.options.lr 2.5e-3` is the other released one."""
