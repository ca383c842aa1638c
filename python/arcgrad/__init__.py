"""arcgrad: automatic differentiation for the CPU, with the names of PyTorch."""
