"""Every mixer in PyTorch: batched, differentiable and fast, with the names and argument order of `reference`."""
