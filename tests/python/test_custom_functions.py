"""What a custom function says of its inputs and outputs, and the sentences for saying it wrongly. All as in PyTorch."""

import gc
import weakref

import pytest

import arcgrad as torch
from arcgrad.autograd import Function, forward_ad as fwAD
from arcgrad.autograd.function import once_differentiable


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def function(forward, backward=lambda ctx, *grads: grads[0], **others):
    body = {"forward": forward, "backward": backward, **others}
    return type("Mine", (Function,), {name: staticmethod(body[name]) for name in body})


def double_in_place(ctx, x):
    x.mul_(2)
    ctx.mark_dirty(x)
    return x


def test_an_input_marked_dirty_comes_back_itself_with_the_function_for_its_history():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = function(double_in_place, lambda ctx, g: g * 2).apply(y)
    assert z is y
    assert z.grad_fn.name() == "MineBackward"
    z.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_a_dirty_view_rewrites_the_history_of_its_base():
    x = leaf(1.0, 2.0)
    base = x * 1
    function(double_in_place, lambda ctx, g: g * 10).apply(base[:1])
    assert base.grad_fn.name() == "torch::autograd::CopySlices"
    base.sum().backward()
    assert x.grad.tolist() == [10.0, 1.0]


def test_a_dirty_leaf_that_requires_a_gradient_is_refused():
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        function(double_in_place).apply(leaf(1.0))


def test_a_dirty_view_beside_other_outputs_is_refused():
    def forward(ctx, x):
        return double_in_place(ctx, x), x + 1

    with pytest.raises(RuntimeError, match="your Function modifies inplace an input that is a view of another Tensor"):
        function(forward).apply((leaf(1.0) * 1)[:])


def test_a_dirty_input_that_is_not_returned_is_refused():
    def forward(ctx, x):
        return double_in_place(ctx, x) * 1

    with pytest.raises(RuntimeError, match="Some elements marked as dirty during the forward method were not returned"):
        function(forward).apply(leaf(1.0) * 1)


def test_an_output_marked_non_differentiable_has_no_history_and_its_gradient_is_zeros():
    def forward(ctx, x):
        y = x * 2
        ctx.mark_non_differentiable(y)
        return x * 3, y

    seen = []

    def backward(ctx, g, other):
        seen.append(other.tolist())
        return g * 3

    x = leaf(1.0)
    y, z = function(forward, backward).apply(x)
    assert (y.requires_grad, z.requires_grad) == (True, False)
    y.backward()
    assert seen == [[0.0]]


@pytest.mark.parametrize(("materialize", "expected"), [(True, [0.0]), (False, None)])
def test_an_output_that_no_gradient_reached_gets_zeros_or_none(materialize, expected):
    def forward(ctx, x):
        ctx.set_materialize_grads(materialize)
        return x * 1, x * 1

    seen = []

    def backward(ctx, g, other):
        seen.append(other if other is None else other.tolist())
        return g

    function(forward, backward).apply(leaf(1.0))[0].backward()
    assert seen == [expected]


def test_an_input_returned_as_it_is_comes_back_as_a_view_with_the_functions_history():
    x = leaf(1.0)
    y = function(lambda ctx, x: x, lambda ctx, g: g * 7).apply(x)
    assert y is not x
    y.backward()
    assert x.grad.tolist() == [7.0]
    with pytest.raises(RuntimeError, match="Output 0 of Mine is a view and is being modified inplace"):
        function(lambda ctx, x: x).apply(x * 1).add_(1)


def test_arguments_and_outputs_need_not_be_tensors():
    x = leaf(1.0)
    y, name = function(lambda ctx, x, k: (x * k, "name"), lambda ctx, g, _: (g * 4, None)).apply(x, 4)
    assert name == "name"
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_a_gradient_for_what_is_no_tensor_is_refused():
    y = function(lambda ctx, x, k: x * k, lambda ctx, g: (g, g)).apply(leaf(1.0), 4)
    with pytest.raises(RuntimeError, match="returned a gradient different than None at position 2"):
        y.backward()


def test_setup_context_sees_arguments_with_their_defaults_and_the_output():
    seen = []

    def forward(x, k=5):
        return x * k

    def setup_context(ctx, inputs, output):
        seen.append((len(inputs), inputs[1], output.tolist()))

    function(forward, setup_context=setup_context).apply(leaf(2.0))
    assert seen == [(2, 5, [10.0])]


def test_a_second_derivative_of_a_backward_that_has_one_derivative_is_refused():
    x = leaf(2.0)
    once = once_differentiable(lambda ctx, g: g * 3)
    y = function(lambda ctx, x: x * 3, once).apply(x)
    (g,) = torch.autograd.grad(y, x, torch.ones(1, requires_grad=True), create_graph=True)
    assert g.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked"):
        g.backward()


def test_a_saved_tensor_that_was_overwritten_is_refused():
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    x = leaf(1.0) * 1
    y = function(forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.backward()


def test_the_tangent_is_what_jvp_computes():
    with fwAD.dual_level():
        x = fwAD.make_dual(torch.tensor([1.0]), torch.tensor([2.0]))
        y = function(lambda ctx, x, k: x * k, jvp=lambda ctx, t, _: t * 11).apply(x, 3)
        assert fwAD.unpack_dual(y).tangent.tolist() == [22.0]


@pytest.mark.parametrize("keeps", [False, True])
def test_a_jvp_must_change_the_tangent_of_a_dirty_input_in_place(keeps):
    mine = function(double_in_place, jvp=lambda ctx, t: t if keeps else t.mul_(2))
    with fwAD.dual_level():
        tangent = torch.tensor([1.0])
        x = fwAD.make_dual(torch.tensor([1.0]), tangent)
        if keeps:
            with pytest.raises(RuntimeError, match="jvp function must modify the corresponding gradient inplace"):
                mine.apply(x)
        else:
            assert fwAD.unpack_dual(mine.apply(x)).tangent.tolist() == [2.0]


@pytest.mark.parametrize("name", ["name", "next_functions", "register_hook", "register_prehook", "_register_hook_dict"])
def test_an_instance_of_a_function_is_no_node_and_says_so(name):
    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = Identity()
    with pytest.raises(RuntimeError, match=f"Attribute '{name}' is invalid"):
        getattr(instance, name)
    with pytest.raises(RuntimeError, match="underlying PyNode has already been deallocated"):
        instance.metadata  # noqa: B018
    assert not hasattr(instance, "anything_else")


def test_what_was_saved_comes_back_as_the_same_object_as_long_as_it_is_what_it_was():
    def forward(ctx, x, y, constant):
        ctx.save_for_backward(x, y, constant)
        return x * 1

    def backward(ctx, grad):
        saved.append(ctx.saved_tensors)
        return grad, None, None

    saved = []
    keep = function(forward, backward)
    x, constant = leaf(1.0), torch.tensor([3.0])
    y = x * 2
    keep.apply(x, y, constant).backward()
    assert [a is b for a, b in zip(saved[0], (x, y, constant), strict=True)] == [True, True, True]
    # A tensor that shows other numbers by now is not what was saved.
    z = keep.apply(x, y, constant)
    constant.data = torch.tensor([4.0])
    z.backward()
    assert saved[1][2] is not constant
    assert saved[1][2].tolist() == [3.0]


def test_what_was_saved_is_freed_by_the_pass_though_the_context_lives_on():
    def forward(ctx, x):
        kept = torch.ones(1)
        alive.append(weakref.ref(kept))
        ctx.save_for_backward(kept)
        return x * 1

    alive = []
    y = function(forward).apply(leaf(1.0))
    context = y.grad_fn
    assert context.saved_tensors[0].tolist() == [1.0]
    y.backward()
    assert alive[0]() is None
    assert context.to_save == ()


def test_what_was_saved_keeps_no_tensor_alive_and_makes_no_cycle():
    def forward(ctx, x, state):
        ctx.save_for_backward(state)
        return x * state

    x, state = leaf(1.0), torch.tensor([3.0])
    y = function(forward).apply(x, state)
    state += y  # the saved tensor now owns the node that saved it
    gone = weakref.ref(y.grad_fn)
    del y, state
    gc.collect()
    assert gone() is None


def test_an_input_returned_as_it_is_comes_back_as_a_view_of_itself_also_where_nothing_is_recorded():
    same = function(lambda ctx, x: x)
    for x in (leaf(1.0), torch.ones(1), torch.ones(1, dtype=torch.int64)):
        y = same.apply(x)
        assert y is not x
        assert y._base is x
        assert y.requires_grad is x.requires_grad
    # A write that would have to be recorded past the function is refused; another is seen in both.
    x = torch.zeros(1)
    y = same.apply(x)
    with pytest.raises(RuntimeError, match=r"A view was created in no_grad mode .* with grad mode enabled. This view"):
        y.add_(leaf(1.0))
    y.add_(1)
    assert x.tolist() == [1.0]
    with torch.inference_mode():
        x = torch.zeros(1)
        y = same.apply(x)
        assert y is not x
        assert not y._is_view()
    # One that was written to and marked so is itself.
    x = torch.ones(1)
    assert function(double_in_place).apply(x) is x


@pytest.mark.parametrize("requires_grad", [True, False])
def test_the_tangent_of_an_input_returned_as_it_is_must_be_a_view_of_the_given_one(requires_grad):
    def pair(jvp):
        return function(lambda ctx, x, y: (x + y, x), lambda ctx, a, b: (a + b, a), jvp=lambda ctx, t, _: (t, jvp(t)))

    def leaf():
        return torch.tensor(1.0, requires_grad=requires_grad)

    x, y, tangent = leaf(), leaf(), torch.tensor(1.0)
    with fwAD.dual_level():
        dual = fwAD.make_dual(x, tangent)
        _, out = pair(lambda t: t.view_as(t)).apply(dual, y)
        assert fwAD.unpack_dual(out).tangent._base is tangent
        for wrong in (lambda t: t, lambda t: t * 2):
            with pytest.raises(RuntimeError, match=r"returning a view \(or an input as-is\)"):
                pair(wrong).apply(dual, y)


def test_an_object_of_another_class_returned_as_it_is_stays_of_its_class():
    class Boxed(torch.Tensor):
        def __init__(self, data):
            super().__init__()
            self.inside = data

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return cls(func(*[a.inside if isinstance(a, cls) else a for a in args], **(kwargs or {})))

    y = function(lambda ctx, x: x).apply(Boxed(torch.ones(2)))
    assert type(y) is Boxed
    assert y.inside.tolist() == [1.0, 1.0]
