"""Jacobians and Hessians of functions of tensors, and their products with vectors."""

from __future__ import annotations

from .._core import Tensor, stack, zeros_like
from . import enable_grad, grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    _Tensors = tuple[Tensor, ...]

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

# What `strict=True` says of an input, output or entry `i` on which something does not depend.
_INDEPENDENT = (
    "The output of the user-provided function is independent of input {i}. This is not allowed in strict mode."
)
_OUTPUT_WITHOUT_HISTORY = (
    "Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode."
)
_GRADIENT_INDEPENDENT = (
    "The gradient with respect to input {i} is independent of the inputs of the user-provided function. This is not "
    "allowed in strict mode."
)
_GRADIENT_INDEPENDENT_OF_ENTRY = (
    "The gradient with respect to the input is independent of entry {i} in the grad_outputs when using the double "
    "backward trick to compute forward mode gradients. This is not allowed in strict mode."
)
_JACOBIAN_INDEPENDENT = (
    "The jacobian of the user-provided function is independent of input {i}. This is not allowed in strict mode."
)
_JACOBIAN_INDEPENDENT_IN_HESSIAN = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
    "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
    "example)."
)
_HESSIAN_INDEPENDENT_OF_ENTRY = (
    "The hessian of the user-provided function is independent of entry {i} in the grad_jacobian. This is not allowed "
    "in strict mode as it prevents from using the double backward trick to replace forward mode AD."
)
_NOT_RECORDED = (
    "The {what} of the user-provided function is independent of input {i}. This is not allowed in strict mode when "
    "create_graph=True."
)


def _tensors(value: Any, what: str, function: str) -> tuple[_Tensors, bool]:
    """The tensors of an argument or result as a tuple, and whether it was a lone tensor."""
    single = not isinstance(value, tuple)
    values = (value,) if single else value
    for i, x in enumerate(values):
        if not isinstance(x, Tensor):
            which = f"given {what} has" if single else f"value at index {i} has"
            raise TypeError(
                f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the {which} type "
                f"{type(x)}."
            )
    return values, single


def _taken(x: Tensor, create_graph: bool, requires_grad: bool) -> Tensor:
    """The caller's tensor as a tensor of this call: a continuation of its history if that is to be recorded."""
    if create_graph and x.requires_grad:
        return x.view_as(x)
    return x.detach().requires_grad_(requires_grad)


def _inputs(value: Any, function: str, create_graph: bool) -> tuple[_Tensors, bool]:
    values, single = _tensors(value, "inputs", function)
    return tuple(_taken(x, create_graph, True) for x in values), single


def _outputs(func: Callable[..., Any], inputs: _Tensors, function: str, strict: bool) -> tuple[_Tensors, bool]:
    outputs, single = _tensors(func(*inputs), "outputs of the user-provided function", function)
    _demand(outputs, strict, _OUTPUT_WITHOUT_HISTORY)
    return outputs, single


def _single_output(func: Callable[..., Any], inputs: _Tensors, function: str, strict: bool) -> Tensor:
    outputs, single = _outputs(func, inputs, function, strict)
    if not single:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return outputs[0]


def _vector(
    v: Any, like: _Tensors, single: bool, function: str, create_graph: bool, whose: str = "input to the {} is"
) -> _Tensors | None:
    """The vector of a product, of the shapes of `like`; none is needed where that is a single number."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            whose = whose.format("user-provided function")
            raise RuntimeError(f"The vector v can only be None if the {whose} a single Tensor with a single element.")
        return None
    values, _ = _tensors(v, "v", function)
    if len(values) != len(like):
        if single:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(values)}.")
    for i, (x, other) in enumerate(zip(values, like, strict=True)):
        if x.size() != other.size():
            entry = "" if single else f"Entry {i} in "
            raise RuntimeError(f"{entry}v has invalid size: should be {other.size()} but got {x.size()}.")
    return tuple(_taken(x, create_graph, False) for x in values)


def _demand(tensors: Iterable[Tensor | None], strict: bool, message: str) -> None:
    """In strict mode, refuse what was not computed differentiably from the inputs."""
    for i, x in enumerate(tensors if strict else ()):
        if x is None:
            raise RuntimeError(_INDEPENDENT.format(i=i))
        if not x.requires_grad:
            raise RuntimeError(message.format(i=i))


def _gradients(
    outputs: Sequence[Tensor | None], inputs: _Tensors, grad_outputs: Sequence[Tensor] | None = None, **options: bool
) -> Sequence[Tensor | None]:
    """`grad`, which lets pass outputs that have no history, and inputs that no output depends on."""
    vectors: Sequence[Tensor | None] = grad_outputs or [None] * len(outputs)
    pairs = [(y, v) for y, v in zip(outputs, vectors, strict=True) if y is not None and y.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    recorded, vectors = zip(*pairs, strict=True)
    return grad(recorded, inputs, vectors, allow_unused=True, **options)


def _filled(
    grads: Sequence[Tensor | None], like: _Tensors, strict: bool, create_graph: bool, absent: str, what: str
) -> _Tensors:
    """Zeros for gradients that are not there, which strict mode refuses."""
    for i, g in enumerate(grads if strict else ()):
        if g is None:
            raise RuntimeError(absent.format(i=i))
        if create_graph and not g.requires_grad:
            raise RuntimeError(_NOT_RECORDED.format(what=what, i=i))
    return tuple(zeros_like(x) if g is None else g for g, x in zip(grads, like, strict=True))


def _given(values: _Tensors, single: bool, create_graph: bool) -> Any:
    """What the caller gets: the form of what was given, without a history that nobody asked for."""
    values = values if create_graph else tuple(x.detach() for x in values)
    return values[0] if single else values


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of `v` with the Jacobian: the gradient of the outputs times `v`.

    Args:
        func: A function of tensors that returns a tensor or a tuple of tensors.
        inputs: A tensor or a tuple of tensors.
        v: Of the outputs' shapes; may be left out if the output is a single number.
        create_graph: Whether both results can be differentiated.
        strict: Whether an output that does not depend on an input is an error and not zeros.

    Raises:
        TypeError: Inputs, outputs or `v` are not tensors.
        RuntimeError: `v` has another shape, or strict mode found an independence.
    """
    with enable_grad():
        inputs, single_input = _inputs(inputs, "vjp", create_graph)
        outputs, single_output = _outputs(func, inputs, "vjp", strict)
        v = _vector(v, outputs, single_output, "vjp", create_graph, "{} returns")
        grads = _gradients(outputs, inputs, v, create_graph=create_graph)
        product = _filled(grads, inputs, strict, create_graph, _INDEPENDENT, "jacobian")
        return _given(outputs, single_output, create_graph), _given(product, single_input, create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of the Jacobian with `v`: how the outputs change along `v`.

    The gradient is linear in what it is given, and this product is its derivative; `arcgrad.autograd.forward_ad` gets
    it in one pass.

    Args:
        func: A function of tensors that returns a tensor or a tuple of tensors.
        inputs: A tensor or a tuple of tensors.
        v: Of the inputs' shapes; may be left out if the input is a single number.
        create_graph: Whether both results can be differentiated.
        strict: Whether an output that does not depend on an input is an error and not zeros.

    Raises:
        TypeError: Inputs, outputs or `v` are not tensors.
        RuntimeError: `v` has another shape, or strict mode found an independence.
    """
    with enable_grad():
        inputs, single_input = _inputs(inputs, "jvp", create_graph)
        v = _vector(v, inputs, single_input, "jvp", create_graph)
        outputs, single_output = _outputs(func, inputs, "jvp", strict)
        places = tuple(zeros_like(y, requires_grad=True) for y in outputs)
        gradient = _gradients(outputs, inputs, places, create_graph=True)
        _demand(gradient, strict, _GRADIENT_INDEPENDENT)
        grads = _gradients(gradient, places, v, create_graph=create_graph)
        product = _filled(grads, outputs, strict, create_graph, _GRADIENT_INDEPENDENT_OF_ENTRY, "jacobian")
        return _given(outputs, single_output, create_graph), _given(product, single_output, create_graph)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of `v` with the Hessian, which is symmetric where `func` is smooth.

    Args:
        func: A function of tensors that returns a tensor with one element.
        inputs: A tensor or a tuple of tensors.
        v: Of the inputs' shapes; may be left out if the input is a single number.
        create_graph: Whether both results can be differentiated.
        strict: Whether a gradient that does not depend on an input is an error and not zeros.

    Raises:
        TypeError: Inputs, output or `v` are not tensors.
        RuntimeError: The output is not a single number, `v` has another shape, or strict mode found an independence.
    """
    with enable_grad():
        inputs, single_input = _inputs(inputs, "vhp", create_graph)
        v = _vector(v, inputs, single_input, "vhp", create_graph)
        output = _single_output(func, inputs, "vhp", strict)
        jacobian = _gradients((output,), inputs, create_graph=True)
        _demand(jacobian, strict, _JACOBIAN_INDEPENDENT_IN_HESSIAN)
        grads = _gradients(jacobian, inputs, v, create_graph=create_graph)
        product = _filled(grads, inputs, strict, create_graph, _JACOBIAN_INDEPENDENT, "hessian")
        return _given((output,), True, create_graph), _given(product, single_input, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return `func(*inputs)` and the product of the Hessian with `v`; `vhp` gets the same with one pass less.

    Args:
        func: A function of tensors that returns a tensor with one element.
        inputs: A tensor or a tuple of tensors.
        v: Of the inputs' shapes; may be left out if the input is a single number.
        create_graph: Whether both results can be differentiated.
        strict: Whether a gradient that does not depend on an input is an error and not zeros.

    Raises:
        TypeError: Inputs, output or `v` are not tensors.
        RuntimeError: The output is not a single number, `v` has another shape, or strict mode found an independence.
    """
    with enable_grad():
        inputs, single_input = _inputs(inputs, "hvp", create_graph)
        v = _vector(v, inputs, single_input, "hvp", create_graph)
        output = _single_output(func, inputs, "hvp", strict)
        jacobian = _gradients((output,), inputs, create_graph=True)
        _demand(jacobian, strict, _JACOBIAN_INDEPENDENT_IN_HESSIAN)
        places = tuple(zeros_like(x, requires_grad=True) for x in inputs)
        vector_hessian = _gradients(jacobian, inputs, places, create_graph=True)
        grads = _gradients(vector_hessian, places, v, create_graph=create_graph)
        product = _filled(grads, inputs, strict, create_graph, _HESSIAN_INDEPENDENT_OF_ENTRY, "hessian")
        return _given((output,), True, create_graph), _given(product, single_input, create_graph)


def _construct_standard_basis_for(tensors: _Tensors, numels: Sequence[int]) -> _Tensors:
    """The unit vectors of all elements of all tensors together: for each tensor its columns, of its dtype."""
    blocks = tuple(x.new_zeros(sum(numels), n) for x, n in zip(tensors, numels, strict=True))
    first = 0
    for block, n in zip(blocks, numels, strict=True):
        block.diagonal(-first).fill_(1)
        first += n
    return blocks


def _stacked(parts: Sequence[Tensor], output: Tensor, input: Tensor, dim: int) -> Tensor:
    """A Jacobian from its rows or columns, of which there may be none."""
    shape = output.shape + input.shape
    return stack(parts, dim).reshape(shape) if parts else input.new_zeros(shape)


def _row_by_row(outputs: _Tensors, inputs: _Tensors, create_graph: bool, strict: bool) -> Iterable[tuple[Tensor, ...]]:
    """For each output its Jacobians, by a backward pass for each of its elements."""
    for i, y in enumerate(outputs):
        absent = _INDEPENDENT.replace("The output", f"Output {i}")
        rows: list[_Tensors] = []
        for element in y.reshape(-1).unbind():
            grads = _gradients((element,), inputs, retain_graph=True, create_graph=create_graph)
            rows.append(_filled(grads, inputs, strict, create_graph, absent, "jacobian"))
        columns = zip(*rows, strict=True) if rows else ((),) * len(inputs)
        yield tuple(_stacked(column, y, x, 0) for column, x in zip(columns, inputs, strict=True))


def _in_one_pass(outputs: _Tensors, inputs: _Tensors, create_graph: bool) -> Iterable[tuple[Tensor, ...]]:
    """For each output its Jacobians, by one backward pass with a batch of gradients: the unit vectors."""
    numels = [y.numel() for y in outputs]
    basis = _construct_standard_basis_for(outputs, numels)
    flat = tuple(y.reshape(-1) for y in outputs)
    grads = _gradients(flat, inputs, basis, create_graph=create_graph, is_grads_batched=True)
    batches = [x.new_zeros(sum(numels), *x.shape) if g is None else g for g, x in zip(grads, inputs, strict=True)]
    by_output = zip(*(batch.split(numels) for batch in batches), strict=True)
    for y, parts in zip(outputs, by_output, strict=True):
        yield tuple(part.reshape(y.shape + x.shape) for part, x in zip(parts, inputs, strict=True))


def _by_tangents(func: Callable[..., Any], inputs: _Tensors) -> tuple[Iterable[tuple[Tensor, ...]], bool]:
    """For each output its Jacobians, by a call of the function for each element of the inputs."""
    from . import forward_ad

    outputs, single = _tensors(func(*inputs), "outputs of the user-provided function", "jacobian")
    columns: list[list[_Tensors]] = []
    for place, x in enumerate(inputs):
        columns.append([])
        (basis,) = _construct_standard_basis_for((x,), [x.numel()])
        for direction in basis.unbind():
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(x, direction.view_as(x))
                results, _ = _tensors(func(*inputs[:place], dual, *inputs[place + 1 :]), "outputs", "jacobian")
                columns[-1].append(tuple(_tangent(y) for y in results))
    jacobians = [
        tuple(
            _stacked([tangents[i] for tangents in of_input], y, x, -1)
            for of_input, x in zip(columns, inputs, strict=True)
        )
        for i, y in enumerate(outputs)
    ]
    return jacobians, single


def _tangent(dual: Tensor) -> Tensor:
    from . import forward_ad

    value, tangent = forward_ad.unpack_dual(dual)
    return zeros_like(value) if tangent is None else tangent


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian: for an output and an input, a tensor of the output's shape followed by the input's.

    Args:
        func: A function of tensors that returns a tensor or a tuple of tensors.
        inputs: A tensor or a tuple of tensors.
        create_graph: Whether the Jacobian can be differentiated.
        strict: Whether an output that does not depend on an input is an error and not zeros.
        vectorize: Whether one backward pass carries the gradients of all elements.
        strategy: "reverse-mode", a row for each element of the outputs, or "forward-mode", a column for each element
            of the inputs; the latter needs `vectorize=True`.

    Returns:
        A tensor, for a single input and a single output; else a tuple over the inputs, a tuple over the outputs, or a
        tuple over the outputs of tuples over the inputs.

    Raises:
        TypeError: Inputs or outputs are not tensors.
        RuntimeError: Strict mode found an independence, or was asked for together with `vectorize` or "forward-mode".
        NotImplementedError: "forward-mode" with `create_graph`, or without `vectorize`.
    """
    with enable_grad():
        _check_strategy(strategy, create_graph, strict, vectorize)
        if strategy == "forward-mode":
            inputs, single_input = _tensors(inputs, "inputs", "jacobian")
            jacobians, single_output = _by_tangents(func, tuple(_taken(x, True, False) for x in inputs))
            # Nothing but what is recorded anyway; the history of a Hessian's inner pass alone is nobody's.
            create_graph = any(x.requires_grad for x in inputs)
        else:
            inputs, single_input = _inputs(inputs, "jacobian", create_graph)
            outputs, single_output = _outputs(func, inputs, "jacobian", strict)
            if vectorize:
                jacobians = _in_one_pass(outputs, inputs, create_graph)
            else:
                jacobians = _row_by_row(outputs, inputs, create_graph, strict)
        rows = tuple(_given(row, single_input, create_graph) for row in jacobians)
        return rows[0] if single_output else rows


def _check_strategy(strategy: str, create_graph: bool, strict: bool, vectorize: bool) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "reverse-mode":
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        return
    if create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if strict:
        raise RuntimeError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
            "`vectorize=True`."
        )


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the Hessian: for two inputs, a tensor of the first one's shape followed by the second one's.

    Args:
        func: A function of tensors that returns a tensor with one element.
        inputs: A tensor or a tuple of tensors.
        create_graph: Whether the Hessian can be differentiated.
        strict: Whether a gradient that does not depend on an input is an error and not zeros.
        vectorize: Whether one backward pass carries the gradients of all elements.
        outer_jacobian_strategy: How the Jacobian of the gradient is found, "reverse-mode" or "forward-mode".

    Returns:
        A tensor for a single input, else a tuple over the inputs of tuples over the inputs.

    Raises:
        TypeError: Inputs or output are not tensors.
        RuntimeError: The output is not a single number, or strict mode found an independence.
    """
    values, single = _tensors(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def number(*inputs: Tensor) -> Tensor:
        return _single_output(func, inputs, "hessian", strict).squeeze()

    def gradient(*inputs: Tensor) -> _Tensors:
        if outer_jacobian_strategy == "forward-mode":
            # Dual numbers come without a history, and the inner pass is to be one over them.
            inputs = tuple(x.requires_grad_() for x in inputs)
        rows: _Tensors = jacobian(number, inputs, create_graph=True)
        _demand(rows, strict, _JACOBIAN_INDEPENDENT_IN_HESSIAN)
        return rows

    blocks = jacobian(gradient, values, create_graph, strict, vectorize, outer_jacobian_strategy)
    return blocks[0][0] if single else blocks
