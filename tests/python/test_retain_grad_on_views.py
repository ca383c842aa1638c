"""A gradient that is kept of a view is that of the value the view has, once."""

import arcgrad as torch


def test_views_that_keep_their_gradients_keep_them_once_after_a_write_through_one():
    base = torch.tensor([1.0], requires_grad=True).clone()
    view, other = base[:], base[:]
    view.retain_grad()
    other.retain_grad()
    view.mul_(2)
    (view + other).sum().backward()
    # PyTorch 2.13 answers 1 for both.
    assert (view.grad.tolist(), other.grad.tolist()) == ([1.0], [1.0])
