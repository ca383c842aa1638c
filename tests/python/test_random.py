"""Random numbers: PyTorch's own after manual_seed, a stream per Generator, sound distributions."""

import json
import pathlib
import threading

import numpy as np
import pytest

import arcgrad as torch

RECORDED = json.loads((pathlib.Path(__file__).parent.parent / "data" / "random_streams.json").read_text())


@pytest.mark.parametrize(("seed", "program", "expected"), RECORDED)
def test_manual_seed_gives_pytorchs_numbers(seed, program, expected):
    torch.manual_seed(seed)
    for expression, values in zip(program.split("; "), expected, strict=True):
        got = eval(expression)
        # Uniform and integer numbers are exact; a normal deviate passes through log and cos.
        exact = "rand(" in expression or "randint" in expression or "randperm" in expression
        rtol = 0 if exact else 2e-6 if got.dtype is torch.float32 else 1e-13
        np.testing.assert_allclose(np.array(got.tolist()), np.array(values), rtol=rtol, atol=rtol)


def test_a_generator_has_a_stream_of_its_own():
    torch.manual_seed(5)
    plain = torch.rand(4).tolist()
    torch.manual_seed(5)
    g = torch.Generator().manual_seed(5)
    assert torch.rand(4, generator=g).tolist() == plain
    assert torch.rand(4).tolist() == plain
    a = torch.randn(3, generator=g)
    g.manual_seed(5)
    torch.rand(4, generator=g)
    assert torch.randn(3, generator=g).tolist() == a.tolist()
    assert g.initial_seed() == 5


def test_every_random_function_takes_a_generator():
    def draw(g):
        return [
            torch.rand(2, generator=g).tolist(),
            torch.randn(2, generator=g).tolist(),
            torch.randint(100, (2,), generator=g).tolist(),
            torch.randperm(9, generator=g).tolist(),
            torch.bernoulli(torch.full((9,), 0.5), generator=g).tolist(),
            torch.multinomial(torch.ones(9), 3, generator=g).tolist(),
            torch.empty(3).normal_(generator=g).tolist(),
            torch.empty(3).uniform_(generator=g).tolist(),
        ]

    one, same, other = (draw(torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert one == same
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_manual_seed_returns_the_default_generator():
    g = torch.manual_seed(9)
    assert isinstance(g, torch.Generator)
    a = torch.rand(1, generator=g).item()
    torch.manual_seed(9)
    assert torch.rand(1).item() == a


def test_uniform_numbers_fill_their_half_open_interval_evenly():
    torch.manual_seed(0)
    x = torch.rand(100_000)
    assert x.min().item() >= 0
    assert x.max().item() < 1
    counts, _ = np.histogram(x.numpy(), bins=10, range=(0, 1))
    assert abs(counts - 10_000).max() < 500


def test_normal_numbers_have_the_moments_of_the_normal_distribution():
    torch.manual_seed(0)
    x = torch.randn(100_000).double()
    assert abs(x.mean().item()) < 0.015
    assert abs(x.var().item() - 1) < 0.02
    assert abs((x**3).mean().item()) < 0.05
    assert abs((x**4).mean().item() - 3) < 0.1
    assert torch.isfinite(x).all().item()


def test_integers_stay_in_their_range_and_permutations_are_permutations():
    torch.manual_seed(0)
    x = torch.randint(-3, 4, (10_000,))
    assert sorted(set(x.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert sorted(torch.randperm(1000).tolist()) == list(range(1000))
    assert torch.randperm(0).tolist() == []


def test_multinomial_without_replacement_never_repeats_and_skips_zero_weights():
    torch.manual_seed(0)
    for _ in range(50):
        picked = torch.multinomial(torch.tensor([0.0, 1.0, 2.0, 3.0]), 3).tolist()
        assert sorted(picked) == [1, 2, 3]


def test_threads_that_share_the_default_generator_draw_different_numbers():
    drawn = [[] for _ in range(4)]

    def draw(mine):
        for _ in range(50):
            mine.append(torch.rand(1, dtype=torch.float64).item())

    threads = [threading.Thread(target=draw, args=(d,)) for d in drawn]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    everything = [v for d in drawn for v in d]
    assert len(set(everything)) == len(everything) == 200
