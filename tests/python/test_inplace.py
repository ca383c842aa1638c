"""In-place twins: the numbers of their functions, the same object back, and refusal of misfits."""

import operator

import numpy as np
import pytest

import arcgrad as torch
from agreement import assert_equals, waves

UNARY = [
    "abs",
    "neg",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "atanh",
    "sigmoid",
    "relu",
    "floor",
    "ceil",
    "round",
    "trunc",
    "sign",
]
BINARY = ["add", "sub", "mul", "div", "pow", "remainder", "fmod", "atan2", "floor_divide", "eq", "lt", "gt"]


@pytest.mark.parametrize("name", UNARY)
def test_unary_twins_write_what_their_function_answers(name):
    x = waves(11, scale=0.4) + 0.5
    expected = getattr(x, name)().numpy().copy()
    assert getattr(x, name + "_")() is x
    assert_equals(x, expected)


@pytest.mark.parametrize("name", BINARY)
def test_binary_twins_write_what_their_function_answers(name):
    x, y = waves(3, 4).abs() + 0.5, waves(4, phase=1.0).abs() + 0.2
    expected = getattr(x, name)(y).to(torch.float64).numpy().copy()
    assert getattr(x, name + "_")(y) is x
    assert_equals(x, expected)
    if name == "atan2":
        return  # takes no Python number
    x = waves(3, 4)
    expected = getattr(x, name)(2).to(torch.float64).numpy().copy()
    np.testing.assert_array_equal(getattr(x, name + "_")(2).numpy(), expected)


@pytest.mark.parametrize(
    "op", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.ipow]
)
def test_augmented_assignments_write_in_place(op):
    plain = {
        "iadd": "add",
        "isub": "sub",
        "imul": "mul",
        "itruediv": "truediv",
        "ifloordiv": "floordiv",
        "ipow": "pow",
    }
    x = waves(4).abs()
    alias = x
    expected = getattr(operator, plain[op.__name__])(x, 2).numpy().copy()
    x = op(x, 2)
    assert x is alias
    assert_equals(alias, expected)


def test_copy_broadcasts_and_casts():
    x = torch.zeros(2, 3)
    x.copy_(torch.tensor([1, 2, 3]))
    assert x.tolist() == [[1, 2, 3]] * 2
    i = torch.zeros(2, dtype=torch.int8)
    i.copy_(torch.tensor([1.9, -1.9]))
    assert i.tolist() == [1, -1]


def test_fill_zero_and_clamp():
    x = torch.ones(3)
    assert x.fill_(4) is x
    assert x.fill_(torch.tensor(5.0)).tolist() == [5, 5, 5]
    assert x.zero_().tolist() == [0, 0, 0]
    assert torch.tensor([-2.0, 2.0]).clamp_(-1, 1).tolist() == [-1, 1]
    assert torch.eye(2).masked_fill_(torch.eye(2) == 1, 3).tolist() == [[3, 0], [0, 3]]


def test_addcmul_addcdiv_and_lerp():
    x, a, b = torch.ones(2), torch.full((2,), 6.0), torch.full((2,), 2.0)
    assert x.addcmul(a, b, value=0.5).tolist() == [7, 7]
    assert x.addcdiv(a, b, value=2).tolist() == [7, 7]
    assert x.lerp(a, 0.5).tolist() == [3.5, 3.5]
    assert x.addcmul_(a, b) is x
    assert x.tolist() == [13, 13]


def test_swapping_metadata_in_place_keeps_the_storage():
    x = torch.arange(6).view(2, 3)
    address = x.data_ptr()
    x.transpose_(0, 1)
    assert tuple(x.shape) == (3, 2)
    x.unsqueeze_(0)
    assert tuple(x.shape) == (1, 3, 2)
    x.squeeze_(0)
    assert x.data_ptr() == address


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: torch.ones(2, dtype=torch.int64).add_(0.5),
        lambda: torch.ones(2, dtype=torch.int64).mul_(torch.ones(2)),
        lambda: torch.ones(2, dtype=torch.int64).div_(2),
        lambda: torch.ones(2, dtype=torch.bool).add_(1),
        lambda: torch.ones(2, dtype=torch.int32).sqrt_(),
    ],
)
def test_results_that_do_not_fit_the_dtype_raise(wrong):
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        wrong()


def test_an_in_place_result_may_not_be_larger_than_its_target():
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.ones(1).add_(torch.ones(3))
    x = torch.ones(3)
    with pytest.raises(RuntimeError):
        x.copy_(torch.ones(2))
    assert x.tolist() == [1, 1, 1]


def test_expanded_tensors_refuse_writes():
    for write in [
        lambda x: x.add_(1),
        lambda x: x.mul_(torch.ones(3)),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: x.exp_(),
    ]:
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            write(torch.ones(1).expand(3))


def test_partly_overlapping_operands_are_refused():
    x = torch.arange(4.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer"):
        x[1:].add_(x[:-1])
    x.add_(x)
    assert x.tolist() == [0, 2, 4, 6]


def test_a_failed_write_changes_nothing():
    x = torch.ones(3)
    with pytest.raises(RuntimeError):
        x.add_(torch.ones(2))
    assert x.tolist() == [1, 1, 1]
    assert x._version == 0


def test_writes_through_strided_views_touch_nothing_else():
    x = torch.zeros(4, 4)
    x[::2, 1::2] += 1
    x.T[0].fill_(7)
    assert x.tolist() == [[7, 1, 0, 1], [7, 0, 0, 0], [7, 1, 0, 1], [7, 0, 0, 0]]


def test_uniform_normal_and_bernoulli_fill_in_place():
    torch.manual_seed(3)
    x = torch.empty(1000)
    assert x.uniform_(2, 3) is x
    assert (x >= 2).all().item()
    assert (x < 3).all().item()
    assert abs(x.normal_(1, 0.1).mean().item() - 1) < 0.02
    assert set(x.bernoulli_(0.5).tolist()) == {0.0, 1.0}


OVERLAPPING_WRITES = {
    "add_": lambda m: m[1:].add_(m[:-1]),
    "copy_": lambda m: m[1:].copy_(m[:-1]),
    "assignment": lambda m: m.__setitem__(slice(1, None), m[:-1]),
    "transposed": lambda m: m[:9].view(3, 3).copy_(m[:9].view(3, 3).t()),
    "index_add_": lambda m: m.index_add_(0, torch.tensor([0]), m[:1]),
    "index_copy_": lambda m: m.index_copy_(0, torch.tensor([0]), m[1:2]),
    "scatter_": lambda m: m.scatter_(0, torch.tensor([0]), m[1:2]),
    "scatter_add_": lambda m: m.scatter_add_(0, torch.tensor([0]), m[1:2]),
    "put_": lambda m: m.put_(torch.tensor([0]), m[1:2]),
    "masked_fill_": lambda m: (b := m > 3)[1:].masked_fill_(b[:-1], False),
}


@pytest.mark.parametrize("write", OVERLAPPING_WRITES.values(), ids=OVERLAPPING_WRITES)
def test_an_operand_that_shares_a_part_of_the_target_is_refused(write):
    m = torch.arange(10.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer"):
        write(m)
    assert m.tolist() == list(range(10))
    assert m._version == 0


def masked(x, truths):
    """Numbers cleared where the one before is cleared by the truth before, and the truths with them."""
    truths[:, 1:].masked_fill_(truths[:, :-1], value=False)
    x *= truths


def masked_in_numpy(x, truths):
    truths[:, 1:][truths[:, :-1].copy()] = False
    x *= truths


def scattered(x, _):
    x[:, 1:].scatter_add_(1, torch.arange(3).expand(len(x), -1), x[:, :-1])


def filled(x, truths):
    x[:, :2].masked_fill_(truths[:, :2], x[-1, 0])


def filled_in_numpy(x, truths):
    x[:, :2][truths[:, :2]] = x[-1, 0].copy()


# Of memory with gaps PyTorch leaves open what is read: here it is what stood there before the write.
WRITES_BESIDE_GAPS = {
    "by one of its numbers": (
        lambda x, _: x[:, 1].mul_(x[2, 1]),
        lambda x, _: np.multiply(x[:, 1], x[2, 1].copy(), x[:, 1]),
    ),
    "by the columns before": (
        lambda x, _: x[:, 1:].add_(x[:, :-1]),
        lambda x, _: np.add(x[:, 1:], x[:, :-1], x[:, 1:]),
    ),
    "by every other row": (
        lambda x, _: x[:-1, ::2].sub_(x[1:, ::2]),
        lambda x, _: np.subtract(x[:-1, ::2], x[1:, ::2], x[:-1, ::2]),
    ),
    "over the columns before": (lambda x, _: x[:, 1:].copy_(x[:, :-1]), lambda x, _: np.copyto(x[:, 1:], x[:, :-1])),
    "by its bits": (
        lambda x, _: x[:, 2].add_(x.view(torch.int32)[:, 1:3].select(1, 1)),
        lambda x, _: np.add(x[:, 2], x.view(np.int32)[:, 2], x[:, 2]),
    ),
    "scattered": (scattered, lambda x, _: np.add(x[:, 1:], x[:, :-1], x[:, 1:])),
    "masked": (masked, masked_in_numpy),
    "filled": (filled, filled_in_numpy),
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("rows", [3, 50_001])
@pytest.mark.parametrize(("write", "in_numpy"), WRITES_BESIDE_GAPS.values(), ids=WRITES_BESIDE_GAPS)
def test_what_is_read_beside_gaps_is_as_before_the_write(write, in_numpy, rows, threads):
    random = np.random.default_rng(5)
    x, truths = random.integers(1, 5, (rows, 4)).astype(np.float32), random.random((rows, 4)) < 0.5
    y, used = torch.tensor(x), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        write(y, torch.tensor(truths))
    finally:
        torch.set_num_threads(used)
    in_numpy(x, truths)
    np.testing.assert_array_equal(y.numpy(), x)


INDICES_IN_THEIR_TARGET = {
    "a number": lambda x, index: x.scatter_(0, index, 10**12),
    "numbers": lambda x, index: x.scatter_(0, index, torch.full((4,), 10**12)),
    "added": lambda x, index: x.scatter_add_(0, index, torch.full((4,), 10**12)),
    "multiplied": lambda x, index: x.scatter_(0, index, torch.full((4,), 10**12), reduce="multiply"),
    "reduced": lambda x, index: x.scatter_reduce_(0, index, torch.full((4,), 10**12), reduce="sum"),
    "put": lambda x, index: x.put_(index, torch.full((4,), 10**12)),
    "assigned": lambda x, index: x.__setitem__(index, 10**12),
    "index_add": lambda x, index: x.index_add_(0, index, torch.full((4,), 10**12)),
    "index_fill": lambda x, index: x.index_fill_(0, index, 10**12),
}


def index_and_target(how):
    """Four numbers that are also their index: all of one memory, of two of NumPy's views, or of memory with gaps."""
    numbers = [1, 0, 0, 3, 2, 9, 3, 9]
    if how == "NumPy":
        shared = np.array(numbers)
        return torch.from_numpy(shared[:4]), torch.from_numpy(shared[:4])
    base = torch.tensor(numbers)
    return (base[::2], base[:4]) if how == "gaps" else (base[:4], base[:4])


@pytest.mark.parametrize("how", ["itself", "NumPy", "gaps"])
@pytest.mark.parametrize("write", INDICES_IN_THEIR_TARGET.values(), ids=INDICES_IN_THEIR_TARGET)
def test_an_index_that_is_overwritten_is_read_before(write, how):
    x, index = index_and_target(how)
    expected = x.clone()
    write(expected, index.clone())
    write(x, index)
    assert x.tolist() == expected.tolist()


@pytest.mark.parametrize("threads", [1, 4])
def test_memory_that_numpy_shares_is_read_before_it_is_written(threads):
    """Two tensors of two arrays are two storages, and one memory all the same."""
    used = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for write in (torch.Tensor.add_, torch.Tensor.copy_, torch.Tensor.mul_):
            x = np.arange(200_000.0) % 7
            y = x.copy()
            write(torch.from_numpy(x[1:]), torch.from_numpy(x[:-1]))
            write(torch.from_numpy(y[1:]), torch.from_numpy(y[:-1].copy()))
            np.testing.assert_array_equal(x, y)
    finally:
        torch.set_num_threads(used)


def test_memory_that_does_not_meet_is_no_overlap():
    m = torch.arange(10.0)
    m[:5].add_(m[5:])
    m[::2].mul_(m[1::2])
    m.view(2, 5).copy_(m.view(2, 5))
    m.fill_(m[3])
    assert m.tolist() == [m[3].item()] * 10


def test_one_number_fills_an_expanded_tensor():
    x = torch.ones(2, 1)
    x.expand(2, 3).fill_(5)
    assert x.tolist() == [[5], [5]]
    x.expand(2, 3)[0].zero_()
    assert x.tolist() == [[0], [5]]
    torch.nn.init.constant_(x.expand(2, 3), 2.0)
    assert x.tolist() == [[2], [2]]
    w = torch.ones(3, 1, requires_grad=True)
    y = w * 2
    y.expand(3, 4)[1].fill_(9)
    y.sum().backward()
    assert y.tolist() == [[2], [9], [2]]
    assert w.grad.tolist() == [[2], [0], [2]]


OUT = {
    "sin": lambda m, out: torch.sin(m[:9], out=out),
    "add": lambda m, out: torch.add(m[:9], 1, out=out),
    "cumsum": lambda m, out: torch.cumsum(m[:9], 0, out=out),
    "cat": lambda m, out: torch.cat([m[:5], m[:4]], out=out),
    "gather": lambda m, out: torch.gather(m, 0, torch.arange(9), out=out),
    "sort": lambda m, out: torch.sort(m[:9], out=(out, torch.zeros(9, dtype=torch.int64)))[0],
    "outer": lambda m, out: torch.outer(m[:3], m[:3], out=out.view(3, 3)).view(9),
    "clamp": lambda m, out: torch.clamp(m[:9], 0, 1, out=out),
    "mm": lambda m, out: torch.mm(m[:9].view(3, 3), m[:9].view(3, 3), out=out.view(3, 3)).view(9),
}


@pytest.mark.parametrize("call", OUT.values(), ids=OUT)
def test_out_may_be_an_input_but_no_part_of_one(call):
    m = torch.arange(10.0)
    expected = call(m, torch.zeros(9)).tolist()
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer"):
        call(m, m[1:])
    assert m.tolist() == list(range(10))
    if call in (OUT["sin"], OUT["add"], OUT["cumsum"], OUT["clamp"], OUT["mm"]):
        assert call(m, m[:9]).tolist() == expected


def test_out_whose_elements_share_a_place_is_refused_whatever_its_shape():
    for shape in [(3,), (4,)]:
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            torch.add(torch.ones(3), 1, out=torch.ones(1).expand(shape))


def test_out_refuses_gradients_that_it_would_lose_and_no_others():
    x = torch.ones(3, requires_grad=True)
    for call in [
        lambda: torch.cat([x, x], out=torch.zeros(6)),
        lambda: torch.normal(x, 1.0, out=torch.zeros(3)),
        lambda: torch.mm(torch.ones(2, 2), torch.ones(2, 2), out=torch.ones(2, 2, requires_grad=True)),
        lambda: torch.zeros(3, out=x),
    ]:
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call()
    assert torch.eq(x, 1, out=torch.zeros(3, dtype=torch.bool)).all()
    assert torch.argmax(x, 0, out=torch.ones((), dtype=torch.int64)).item() == 0
    with torch.no_grad():
        assert torch.cat([x, x], out=torch.zeros(6)).tolist() == [1] * 6
