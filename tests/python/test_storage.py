"""A tensor's memory as an object, and what programs reach for in a tensor and its graph: hooks, nodes, saved values."""

import weakref
from collections import OrderedDict

import numpy as np
import pytest

import arcgrad as torch


def test_a_storage_is_the_whole_memory_whatever_part_a_tensor_looks_at():
    whole = torch.arange(6, dtype=torch.float64)
    part = whole[2:4]
    assert part.untyped_storage().nbytes() == part.untyped_storage().size() == len(part.untyped_storage()) == 48
    assert part.storage().size() == len(part.storage()) == 6
    assert part.storage().nbytes() == 48
    assert part.storage().tolist() == list(part.storage()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert part.storage()[5] == 5.0
    assert part.storage().dtype == torch.float64
    assert (part.storage().element_size(), part.untyped_storage().element_size()) == (8, 1)
    assert part.untyped_storage().data_ptr() == whole.data_ptr() != part.data_ptr()


def test_the_bytes_of_a_storage_are_those_of_numpy():
    x = torch.tensor([1.5, -2.0, 3.25])
    assert bytes(x.untyped_storage()) == np.array([1.5, -2.0, 3.25], dtype=np.float32).tobytes()
    assert bytes(x.storage().untyped()) == bytes(x.untyped_storage())


def test_storages_are_equal_if_they_are_the_same_memory():
    x = torch.ones(3)
    assert x.untyped_storage() == x[1:].untyped_storage()
    assert x.storage() == x._typed_storage()
    assert x.untyped_storage() != x.clone().untyped_storage()
    assert x.untyped_storage() != x.storage()


def test_a_storage_shows_writes_and_outlives_its_tensor():
    x = torch.zeros(2)
    storage = x.storage()
    x.add_(7)
    del x
    assert storage.tolist() == [7.0, 7.0]


def in_place_of_two_zeros(*source, dtype=torch.float32):
    x = torch.zeros(2, dtype=dtype)
    assert x.set_(*source) is x
    return x


def test_set_shows_any_part_of_a_tensor_or_a_storage():
    a = torch.arange(6.0)
    for source in (a, a.storage(), a.untyped_storage()):
        whole = in_place_of_two_zeros(source)
        assert whole.is_set_to(a)
        part = in_place_of_two_zeros(source, 1, (2, 2))
        assert part.tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert in_place_of_two_zeros(source, 1, (2, 2), (1, 3)).tolist() == [[1.0, 4.0], [2.0, 5.0]]
        part.add_(10)
        assert a.tolist() == [0.0, 11.0, 12.0, 13.0, 14.0, 5.0]
        a.copy_(torch.arange(6.0))


def test_set_without_a_source_shows_nothing():
    x = torch.zeros(2, requires_grad=True)
    with torch.no_grad():
        x.set_()
    assert (x.shape, x.dtype, x.requires_grad) == ((0,), torch.float32, True)


def test_the_bytes_of_a_storage_can_be_shown_as_another_dtype():
    a = np.arange(6.0)
    x = in_place_of_two_zeros(torch.from_numpy(a).untyped_storage(), dtype=torch.int32)
    assert x.tolist() == a.view(np.int32).tolist()


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (lambda a: (a.storage(), 5, (2, 2)), RuntimeError, r"sizes \[2, 2\].* out of bounds for storage of size 24"),
        (lambda a: (a, -1, (2,)), RuntimeError, "invalid storage offset -1"),
        (lambda a: (a, 0, (2, -2)), RuntimeError, "negative dimension -2"),
        (lambda a: (a, 0, (2, 2), (1,)), RuntimeError, r"unequal size length \(2\) and stride length \(1\)"),
        (lambda a: (a, 0, (2,), (-1,)), RuntimeError, "Negative strides are not supported"),
        (lambda a: (a, 0, (2**40, 2**40)), RuntimeError, "Storage size calculation overflowed"),
        (lambda a: (a, 0, (2**62,)), RuntimeError, "out of bounds for storage of size 24"),
        (lambda a: (a.double(),), RuntimeError, "Could not set tensor of type float64 to a tensor of type float32"),
        (lambda a: (a.double().storage(),), RuntimeError, "Expected a Storage of type float32 or an UntypedStorage"),
        (lambda a: (3,), TypeError, "must be Tensor or Storage, not int"),
        (lambda a: (a, 1), TypeError, "invalid combination of arguments"),
    ],
)
def test_set_refuses_what_is_not_in_the_memory(source, error, message):
    x = torch.zeros(2)
    with pytest.raises(error, match=message):
        x.set_(*source(torch.arange(6.0)))
    assert x.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("source", [(), (torch.ones(2),), (torch.ones(2), 0, (2,)), (torch.ones(2).storage(),)])
def test_set_refuses_a_tensor_with_a_tangent(source):
    with torch.autograd.forward_ad.dual_level():
        x = torch.autograd.forward_ad.make_dual(torch.zeros(2), torch.ones(2))
        with pytest.raises(NotImplementedError, match="forward AD with set_"):
            x.set_(*source)


def test_is_storage_knows_both_kinds_and_no_tensor():
    x = torch.ones(2)
    assert torch.is_storage(x.storage())
    assert torch.is_storage(x.untyped_storage())
    assert not torch.is_storage(x)
    assert not torch.is_storage(x.tolist())


def test_a_dense_tensor_is_its_own_dense_form():
    x = torch.ones(2, requires_grad=True)
    assert x.to_dense() is x
    y = x.to_dense(torch.float64)
    y.sum().backward()
    assert y.dtype == torch.float64
    assert x.grad.tolist() == [1.0, 1.0]


def test_numpy_is_refused_only_while_operations_are_recorded():
    x = torch.ones(2, requires_grad=True)
    for refused in (x.numpy, x.__array__):
        with pytest.raises(RuntimeError, match="Can't call numpy"):
            refused()
    with torch.no_grad():
        array = x.numpy()
        array[0] = 5
        assert x.tolist() == [5.0, 1.0]
        assert np.asarray(x).tolist() == [5.0, 1.0]


@pytest.mark.parametrize("sizes", [(3, 2), ((3, 2),), ([3, 2],)])
def test_resize_takes_sizes_spread_or_in_a_sequence(sizes):
    assert torch.arange(6.0).resize_(*sizes).tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def test_a_tensor_that_requires_a_gradient_is_resized_in_inference_mode_only():
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        torch.ones(1, 2, 3, requires_grad=True).resize_(1, 2)
    with torch.inference_mode():
        x = torch.ones(1, 2, 3, requires_grad=True)
        assert x.resize_(1, 2).shape == (1, 2)
        assert x.requires_grad


@pytest.mark.parametrize(
    ("name", "message"), [("_grad_fn", "Deletion of _grad_fn"), ("_backward_hooks", "Deletion of _backwards_hooks")]
)
def test_an_attribute_of_the_graph_cannot_be_deleted(name, message):
    with pytest.raises(RuntimeError, match=message):
        delattr(torch.ones(2, requires_grad=True), name)


def test_only_none_can_be_assigned_to_grad_fn_and_detaches():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match="_grad_fn can be only set to None"):
        y._grad_fn = x
    assert y._grad_fn is y.grad_fn is not None
    y._grad_fn = None
    assert y.grad_fn is None
    assert not y.requires_grad


def test_the_functions_in_an_assigned_dictionary_are_the_hooks():
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda grad: grad * 100)
    hooks = OrderedDict()
    x._backward_hooks = hooks
    assert x._backward_hooks is hooks
    hooks["double"] = lambda grad: grad * 2
    handle = x.register_hook(lambda grad: grad + 1)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    assert len(hooks) == 2
    handle.remove()
    assert list(hooks) == ["double"]
    x._backward_hooks = None
    x.grad = None
    (x * 3).sum().backward()
    assert x._backward_hooks is None
    assert x.grad.tolist() == [3.0, 3.0]


def test_hooks_assigned_to_a_tensor_without_gradient_are_never_called():
    x, y = torch.ones(2), torch.ones(2, requires_grad=True)
    called = []
    x._backward_hooks = {0: called.append}
    (x * y).sum().backward()
    assert called == []
    assert not x.requires_grad
    assert y.grad.tolist() == [1.0, 1.0]


def test_what_is_assigned_as_hooks_must_be_a_dictionary():
    with pytest.raises(TypeError, match="must be a dict or None, but got int"):
        torch.ones(2)._backward_hooks = 3


@pytest.mark.parametrize("hooks", [(), (abs,), (abs, abs, abs), (1, 1)])
def test_a_saved_tensor_takes_two_hooks(hooks):
    y = torch.ones(2, requires_grad=True).exp()
    with pytest.raises(TypeError, match="incompatible function arguments"):
        y.grad_fn._raw_saved_result.register_hooks(*hooks)


def test_a_scalar_is_gathered_from_as_a_vector_of_one():
    x = torch.tensor(3.0, requires_grad=True)
    y = torch.gather(x, 0, torch.zeros(2, dtype=torch.int64))
    (y * torch.tensor([2.0, 5.0])).sum().backward()
    assert y.tolist() == [3.0, 3.0]
    assert x.grad.item() == 7.0
    with pytest.raises(RuntimeError, match="index 1 is out of bounds for dimension 0 with size 1"):
        torch.gather(x, 0, torch.tensor([0, 1]))
    assert torch.gather(torch.arange(3.0), 0, torch.tensor(2)).item() == 2.0


@pytest.mark.parametrize("reduce", [torch.scatter_reduce, torch.index_reduce])
def test_a_product_where_zeros_meet_is_not_differentiated_twice_with_a_wrong_number(reduce):
    index = torch.tensor([0, 0])

    def first(values):
        x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
        src = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        grads = torch.autograd.grad(reduce(x, 0, index, src, "prod").sum(), (x, src), create_graph=True)
        return src, grads

    src, (_, dsrc) = first([0.0, 3.0])  # a single zero has a second derivative: d²(2ab)/db da = 2
    (second,) = torch.autograd.grad(dsrc.sum(), src)
    assert dsrc.tolist() == [6.0, 0.0]
    assert second.tolist() == [2.0, 2.0]
    src, (_, dsrc) = first([0.0, 0.0])
    assert dsrc.tolist() == [0.0, 0.0]
    with pytest.raises(RuntimeError, match="Double backward is unsupported for src when >1 zeros in src"):
        torch.autograd.grad(dsrc.sum(), src)


@pytest.mark.parametrize(
    "make",
    [lambda a, b: a * b, lambda a, b: (a * b).sum(), lambda a, b: a.exp(), lambda a, b: (a * b) * 1],
    ids=["the root", "before a sum", "a result", "behind a node"],
)
def test_what_a_hook_packed_is_gone_when_backward_returns(make):
    class Package:
        def __init__(self, tensor):
            self.tensor = tensor

    packed = []

    def pack(tensor):
        package = Package(tensor)
        packed.append(weakref.ref(package))
        return package

    a, b = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0])
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda package: package.tensor):
        y = make(a, b)
    assert [package() is not None for package in packed] == [True]
    y.backward()
    assert [package() for package in packed] == [None]
