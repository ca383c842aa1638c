"""Beyond PyTorch: gradient modes decorate coroutines, and do not leak into what runs between."""

import asyncio
import inspect

import pytest

import arcgrad as torch


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.set_grad_enabled(False)])
def test_decorated_coroutines_run_in_the_mode(mode):
    @mode()
    async def work():
        before = torch.is_grad_enabled()
        await asyncio.sleep(0)
        return before, torch.is_grad_enabled()

    torch.set_grad_enabled(True)  # as a function, the decorator's own construction may have set it
    assert asyncio.run(work()) == (False, False)
    assert torch.is_grad_enabled()


def test_a_suspended_coroutine_leaves_the_others_mode_alone():
    seen = []

    @torch.no_grad()
    async def without():
        for _ in range(3):
            await asyncio.sleep(0)
            assert not torch.is_grad_enabled()

    async def plain():
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(torch.is_grad_enabled())

    async def both():
        await asyncio.gather(without(), plain(), without())

    asyncio.run(both())
    assert seen == [True] * 3


def test_an_exception_in_a_decorated_coroutine_restores_the_mode():
    @torch.no_grad()
    async def fail():
        await asyncio.sleep(0)
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        asyncio.run(fail())
    assert torch.is_grad_enabled()
    assert inspect.iscoroutinefunction(fail)
