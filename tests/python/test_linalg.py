"""Linear algebra against NumPy, against its own laws, and its gradients against finite differences."""

import numpy as np
import pytest

import arcgrad as torch
from agreement import waves
from finite_differences import check_first_and_second

L = torch.linalg
INF = float("inf")


def matrices(*shape):
    """Without symmetry, and regular where they are square."""
    return waves(*shape, phase=0.7) + torch.cos(waves(*shape, phase=2.0) * 5)


def positive(n, *batch):
    x = matrices(*batch, n, n)
    return x @ x.mT + torch.eye(n, dtype=torch.float64)


def close(tensor, expected, atol=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), np.asarray(expected), rtol=1e-10, atol=atol)


SHAPES = [(3, 3), (5, 3), (2, 4), (2, 3, 4, 4), (1, 1), (0, 0), (3, 0), (0, 3), (0, 3, 3), (12, 12), (30, 7)]
SQUARE = [shape for shape in SHAPES if shape[-1] == shape[-2]]


@pytest.mark.parametrize("shape", SQUARE, ids=str)
def test_determinants_and_solutions_are_numpys(shape):
    a = matrices(*shape)
    close(L.det(a), np.linalg.det(a.numpy()))
    sign, log = L.slogdet(a)
    expected = np.linalg.slogdet(a.numpy())
    close(sign, expected.sign)
    close(log, expected.logabsdet)
    b = matrices(*shape[:-1], 2)
    close(a @ L.solve(a, b), b, atol=1e-10)
    close(L.solve(a, b.mT, left=False) @ a, b.mT, atol=1e-10)
    close(a @ L.inv(a), np.broadcast_to(np.eye(shape[-1]), shape), atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_qr_has_orthonormal_columns_and_numpys_signs(shape):
    a = matrices(*shape)
    q, r = L.qr(a)
    expected = np.linalg.qr(a.numpy())
    close(q, expected.Q)
    close(r, expected.R)
    q, r = L.qr(a, "complete")
    assert q.shape == (*shape[:-1], shape[-2])
    assert r.shape == shape
    close(q @ r, a)
    close(q.mT @ q, np.broadcast_to(np.eye(shape[-2]), q.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_are_numpys_and_the_bases_orthonormal(shape, dtype):
    a = matrices(*shape).to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for full in (False, True):
        u, s, vh = L.svd(a, full)
        close(s.double(), np.linalg.svd(a.double().numpy(), compute_uv=False), atol=10 * tolerance)
        k = s.shape[-1]
        close((u[..., :k] * s[..., None, :] @ vh[..., :k, :]).double(), a.double(), atol=10 * tolerance)
        for basis in (u.mT @ u, vh @ vh.mT):
            close(basis.double(), np.broadcast_to(np.eye(basis.shape[-1]), basis.shape), atol=tolerance)
        assert u.shape[-1] == (shape[-2] if full else min(shape[-2:]))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_singular_values_of_deficient_and_huge_matrices(scale):
    low_rank = matrices(6, 2) @ matrices(2, 5) * scale
    u, s, vh = L.svd(low_rank)
    close(s / scale, np.linalg.svd(low_rank.numpy() / scale, compute_uv=False), atol=1e-13)
    close(u.mT @ u, np.eye(6))
    close(vh @ vh.mT, np.eye(5))
    assert L.matrix_rank(low_rank).item() == 2
    assert L.svdvals(torch.zeros(3, 4)).tolist() == [0.0] * 3


@pytest.mark.parametrize("shape", SQUARE, ids=str)
def test_eigenvalues_of_symmetric_matrices_are_numpys(shape):
    a = matrices(*shape)
    for triangle in "LU":
        w, v = L.eigh(a, triangle)
        close(w, np.linalg.eigvalsh(a.numpy(), triangle), atol=1e-12)
        half = a.tril() if triangle == "L" else a.triu()
        symmetric = half + half.mT - torch.diag_embed(L.diagonal(a))
        close(symmetric @ v, v * w[..., None, :])
        close(v.mT @ v, np.broadcast_to(np.eye(shape[-1]), shape))


def test_cholesky_reads_one_triangle_and_says_which_minor_is_not_positive():
    a = positive(4, 2)
    close(L.cholesky(a), np.linalg.cholesky(a.numpy()))
    close(L.cholesky(a.tril()), np.linalg.cholesky(a.numpy()))
    close(L.cholesky(a.triu(), upper=True), np.linalg.cholesky(a.numpy()).swapaxes(1, 2))
    with pytest.raises(L.LinAlgError, match=r"\(Batch element 1\): .* \(the leading minor of order 2 is not positive"):
        L.cholesky(torch.stack([torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, -1.0]])]))


def test_what_has_no_answer_is_a_linalg_error_which_is_a_runtime_error():
    assert issubclass(L.LinAlgError, RuntimeError)
    nothing, not_finite = torch.zeros(2, 2), torch.tensor([[1.0, INF], [0.0, float("nan")]])
    for call, said in [
        (lambda: L.solve(nothing, torch.ones(2)), "solver failed because the input matrix is singular"),
        (lambda: L.inv(nothing), "The diagonal element 1 is zero"),
        (lambda: L.svd(not_finite), "contained non-finite values"),
        (lambda: L.eigh(not_finite), "contained non-finite values"),
        (lambda: L.pinv(not_finite), "contained non-finite values"),
    ]:
        with pytest.raises(L.LinAlgError, match=said):
            call()


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 2)], ids=str)
def test_the_pseudoinverse_is_numpys(shape):
    a = matrices(*shape)
    close(L.pinv(a), np.linalg.pinv(a.numpy()))
    low_rank = a[..., :1] @ a[..., :1, :]
    close(L.pinv(low_rank), np.linalg.pinv(low_rank.numpy(), rcond=1e-12))
    close(L.pinv(a, atol=100.0), np.zeros((*shape[:-2], shape[-1], shape[-2])))
    close(torch.pinverse(a), np.linalg.pinv(a.numpy()))


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, INF, -INF])
def test_matrix_norms_and_condition_numbers_are_numpys(order):
    a = matrices(3, 4, 4)
    expected = [np.linalg.norm(one, order) for one in a.numpy()]
    close(L.matrix_norm(a, order), expected)
    assert L.matrix_norm(a.permute(1, 0, 2), order, (0, 2), keepdim=True).shape == (1, 3, 1)
    close(L.matrix_norm(a.permute(1, 0, 2), order, (0, 2)), expected)
    close(L.norm(a[0], order), expected[0])
    close(L.cond(a, order), [np.linalg.cond(one, order) for one in a.numpy()])


def test_the_nuclear_norm_is_one_of_norms_orders():
    a = matrices(3, 4)
    close(torch.norm(a, "nuc"), np.linalg.norm(a.numpy(), "nuc"))
    close(a.norm("nuc"), np.linalg.norm(a.numpy(), "nuc"))
    with pytest.raises(RuntimeError, match="must have at least 2 dimensions"):
        torch.norm(torch.ones(3), "nuc")


def test_tensors_are_solved_and_inverted_as_maps():
    a, b = matrices(2, 3, 6), waves(2, 3)
    close(torch.tensordot(a, L.tensorsolve(a, b), 1), b)
    inverse = L.tensorinv(a)
    assert inverse.shape == (6, 2, 3)
    close(torch.tensordot(inverse, b, 2), L.tensorsolve(a, b))
    close(L.vander(b), [np.vander(row, increasing=True) for row in b.numpy()])


def test_the_condition_of_a_singular_matrix_is_infinite():
    assert L.cond(torch.stack([torch.eye(2), torch.ones(2, 2)]), 1).tolist() == [1.0, INF]


GRADIENTS = {
    "det": (L.det, [matrices(3, 3)]),
    "slogdet": (lambda a: L.slogdet(a)[1], [matrices(2, 3, 3)]),
    "solve": (L.solve, [matrices(3, 3), waves(2, 3, 2)]),
    "inv": (L.inv, [matrices(3, 3)]),
    "cholesky": (lambda x: L.cholesky(x @ x.mT + torch.eye(3, dtype=torch.float64)), [matrices(3, 3)]),
    "qr": (L.qr, [matrices(4, 3)]),
    "eigvalsh": (lambda x: L.eigvalsh(x + x.mT), [matrices(3, 3)]),
    "svdvals": (L.svdvals, [matrices(3, 4)]),
    "svd": (lambda a: [x**2 for x in L.svd(a, False)], [matrices(4, 3)]),
    "pinv": (L.pinv, [matrices(4, 2)]),
    "cond": (L.cond, [matrices(3, 3)]),
    "nuclear norm": (lambda a: torch.norm(a, "nuc"), [matrices(3, 4)]),
    "matrix norm of columns": (lambda a: L.matrix_norm(a, 1), [matrices(3, 4)]),
    "tensorinv": (lambda a: L.tensorinv(a, 1), [matrices(4, 2, 2)]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_first_and_second_derivatives_are_those_of_finite_differences(name):
    function, inputs = GRADIENTS[name]
    check_first_and_second(function, inputs)


def test_gradients_of_symmetric_decompositions_are_symmetric():
    a = positive(4).requires_grad_()
    for y in (L.cholesky(a), L.cholesky(a, upper=True), L.eigh(a)[1], L.eigh(a, "U")[1]):
        (g,) = torch.autograd.grad((y * matrices(4, 4)).sum(), a)
        close(g, g.mT)


def test_a_tangent_that_is_not_symmetric_counts_as_it_is():
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        a = forward.make_dual(positive(3), matrices(3, 3))
        lower, upper = (forward.unpack_dual(L.cholesky(a, upper=upper)).tangent for upper in (False, True))
    close(upper, lower.mT)
    # L' = L half(inv(L) A' inv(L)'), with half the lower triangle and half of the diagonal.
    factor = L.cholesky(positive(3))
    inner = L.inv(factor) @ matrices(3, 3) @ L.inv(factor).mT
    close(lower, factor @ (inner.tril() - torch.diag_embed(inner.diagonal()) / 2))


def test_decompositions_without_a_derivative_say_so():
    a = matrices(3, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="mode='complete' and nrows > ncols"):
        L.qr(a, "complete")[1].sum().backward()
    with pytest.raises(RuntimeError, match="depends on Q, which is not computed when mode='r'"):
        L.qr(a, "r")[1].sum().backward()


def test_messages_are_pytorchs():
    a, wide = torch.eye(2), torch.ones(2, 3)
    for call, said in [
        (lambda: L.det(wide), "linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices"),
        (lambda: L.det(torch.ones(3)), "linalg.det: The input tensor A must have at least 2 dimensions."),
        (
            lambda: L.svd(torch.ones(2, 2, dtype=torch.int64)),
            "Expected a floating point or complex tensor as input. Got Long",
        ),
        (lambda: L.solve(a, torch.ones(3)), "Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)"),
        (lambda: L.solve(a, wide, left=False), "for the equation XA = B (2x2 and 2x3)"),
        (lambda: L.solve(a, torch.ones(2).double()), "but found A of type Float and B of type Double instead"),
        (
            lambda: L.qr(a, "q"),
            "qr received unrecognized mode 'q' but expected one of 'reduced' (default), 'r', or 'complete'",
        ),
        (lambda: L.eigh(a, "X"), "Expected UPLO argument to be 'L' or 'U', but got X"),
        (lambda: L.matrix_norm(a, 3), "linalg.matrix_norm: Order 3 not supported."),
        (lambda: L.norm(torch.ones(2, 2, 2), 2), "the input must be 1D or 2D. Got 3D."),
    ]:
        with pytest.raises(RuntimeError) as raised:
            call()
        assert said in str(raised.value)
