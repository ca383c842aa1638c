"""How tests compare a tensor with an array: shape, dtype and numbers at once, with NaN equal to NaN."""

import numpy as np

import arcgrad as torch

FLOATS = [torch.float32, torch.float64]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
DTYPES = [torch.bool, *INTEGERS, *FLOATS]

NUMPY_OF = {
    torch.bool: np.bool_,
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int16: np.int16,
    torch.int32: np.int32,
    torch.int64: np.int64,
    torch.float32: np.float32,
    torch.float64: np.float64,
}

# Relative and absolute tolerance where both sides round differently: a few units in the last place.
ROUNDING = {torch.float32: (4e-6, 1e-6), torch.float64: (1e-13, 1e-14)}


def name_of(dtype):
    """`float32` for `torch.float32`, under whichever module name the dtype prints."""
    return str(dtype).rsplit(".", maxsplit=1)[-1]


def as_array(tensor):
    return tensor.detach().numpy()


def assert_equals(tensor, expected):
    """Same shape, same dtype, and bit-for-bit the same numbers (NaN equals NaN)."""
    expected = np.asarray(expected)
    assert tuple(tensor.shape) == expected.shape
    assert NUMPY_OF[tensor.dtype] == expected.dtype
    np.testing.assert_array_equal(as_array(tensor), expected)


def assert_close(tensor, expected, slack=1.0):
    """Same shape, and the same numbers to the rounding of the tensor's own dtype times `slack`."""
    expected = np.asarray(expected)
    assert tuple(tensor.shape) == expected.shape
    rtol, atol = ROUNDING[tensor.dtype]
    np.testing.assert_allclose(as_array(tensor), expected, rtol=rtol * slack, atol=atol * slack)


def waves(*shape, dtype=torch.float64, scale=1.0, phase=0.3):
    """A reproducible tensor without ties, zeros or symmetry that needs no random stream."""
    count = int(np.prod(shape, dtype=np.int64))
    values = np.sin(1.7 * np.arange(count) + phase).reshape(shape)
    return torch.from_numpy(np.asarray(scale * values)).to(dtype)
