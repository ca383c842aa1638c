"""Beyond PyTorch: a write behind the graph's back is noticed, and gradients with graphs do not leak."""

import numpy as np
import pytest

import arcgrad as torch


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda y: y.data.add_(1), id="data, whole"),
        pytest.param(lambda y: y.data.__setitem__(0, 9.0), id="data, a part"),
        pytest.param(lambda y: y.detach().numpy().__iadd__(1), id="numpy, whole"),
        pytest.param(lambda y: y.detach().numpy().__setitem__(0, 9.0), id="numpy, a part"),
    ],
)
def test_a_write_through_an_alias_raises_or_leaves_the_gradient_right(write):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    right = y.tolist()
    write(y)
    try:
        y.sum().backward()
    except RuntimeError as error:
        assert "has been modified" in str(error)
    else:
        assert x.grad.tolist() == right


def exp_of(values):
    x = torch.tensor(values, requires_grad=True)
    return x, x.exp()


def negate(array):
    array *= -1


@pytest.mark.parametrize("size", [1, 2, 8, 9, 1000, 1024, 100_003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "write",
    [
        negate,
        lambda a: a.__setitem__(-1, a[-1] + 1),
        lambda a: a.__setitem__(0, np.nextafter(a[0], a.dtype.type(9))),
        lambda a: a.__setitem__(slice(None), a + a.dtype.type(1)),
        lambda a: a.sort() if len(a) > 1 and a[0] > a[1] else negate(a),
        lambda a: a.__setitem__([0, -1], a[[-1, 0]]) if len(a) > 1 else negate(a),
    ],
    ids=["all signs", "the last", "the least bit of the first", "all", "the order", "two exchanged"],
)
@pytest.mark.parametrize("alias", ["before", "after", "outside"])
def test_any_numpy_write_after_a_value_was_saved_is_found(size, dtype, write, alias):
    values = torch.arange(size, dtype=dtype).sin()
    if alias == "outside":
        array = values.numpy().copy()
        kept = torch.from_numpy(array)
    else:
        kept = values
    array = kept.numpy() if alias == "before" else array if alias == "outside" else None
    w = torch.ones(size, dtype=dtype, requires_grad=True)
    loss = (w * kept).sum()
    write(kept.numpy() if array is None else array)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        loss.backward()
    assert "NumPy" in str(error.value)
    assert "clone()" in str(error.value)


def test_reading_through_numpy_is_no_write():
    x, y = exp_of([1.0, 2.0])
    total = y.detach().numpy().sum() + np.asarray(y.detach()).max()
    y.sum().backward()
    assert total > 0
    assert x.grad.tolist() == y.tolist()


def test_a_buffer_that_numpy_fills_beside_what_was_saved_does_no_harm():
    # Observations of a simulation: each row is saved by a policy before the next one is written.
    rows = np.zeros((20, 3), np.float32)
    buffer = torch.from_numpy(rows)
    w = torch.ones(3, requires_grad=True)
    loss = 0.0
    for t in range(20):
        rows[t] = t
        loss = loss + (w * buffer[t]).sum()
    loss.backward()
    assert w.grad.tolist() == [190.0] * 3


def test_a_buffer_that_was_saved_before_numpy_saw_it_may_be_written_beside():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    z = y[:2].exp().sum() + (y[:2] * y[:2]).sum()
    y.detach().numpy()[2] = 100.0
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.exp(1.0) + 2, np.exp(2.0) + 4, 0.0], rtol=1e-6)


def test_a_write_that_is_taken_back_does_no_harm():
    x, y = exp_of([1.0, 2.0])
    array = y.detach().numpy()
    before = array.copy()
    array += 1
    array[:] = before
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_after_its_numpy_arrays_are_gone_a_tensor_is_its_own_again():
    _, y = exp_of([1.0, 2.0])
    for _ in range(300):
        np.asarray(y.detach())
    arrays = [y.detach().numpy() for _ in range(300)]
    del arrays
    y.sum().backward(retain_graph=True)
    y.detach().numpy()[0] = 7.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.grad_fn._saved_result  # noqa: B018 (reading it is the test)


def test_a_custom_functions_saved_tensors_are_watched_too():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            inner = factor * 2
            ctx.save_for_backward(factor, inner)
            return x * inner

        @staticmethod
        def backward(ctx, g):
            _, inner = ctx.saved_tensors
            return g * inner, None

    array = np.ones(2, np.float32)
    x = torch.ones(2, requires_grad=True)
    y = Scale.apply(x, torch.from_numpy(array))
    array[0] = 5
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_leaves_dropped_after_backward_with_create_graph_are_freed(alone):
    program = """
import gc, os
import arcgrad as torch
PAGE = os.sysconf("SC_PAGE_SIZE")
gc.disable()

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGE

def step():
    w = torch.ones(64, 64, requires_grad=True)
    (w * w).sum().backward(create_graph=True)

for _ in range(200):
    step()
before = resident()
for _ in range(1000):
    step()
gc.collect()  # a cycle through Python objects may wait for the collector, but may not outlive it
print(resident() - before)
"""
    (grown,) = alone(program)
    assert int(grown) < 16 * 2**20
