"""One thread: the tensors are small, and other tests may share the machine."""

import torch

torch.set_num_threads(1)
