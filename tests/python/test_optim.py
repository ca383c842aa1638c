"""Optimizers and schedules take PyTorch's steps, as recorded in tests/data/optim.json, and save and resume exactly."""

import copy
import json
import pickle
import warnings
from pathlib import Path

import numpy
import pytest

import arcgrad
from arcgrad import nn, optim

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "optim.json").read_text())


def parameters():
    first = arcgrad.tensor(numpy.linspace(-1, 1, 6).tolist(), dtype=arcgrad.float64).reshape(2, 3)
    return [nn.Parameter(first), nn.Parameter(arcgrad.ones(2, dtype=arcgrad.float64))]


def take_step(optimizer, params, i):
    for param in params:
        ramp = numpy.sin(numpy.arange(param.numel()) * (i + 1.0)).tolist()
        param.grad = arcgrad.tensor(ramp, dtype=param.dtype).reshape(param.shape) + 0.1 * param.detach()
    optimizer.step()


@pytest.mark.parametrize("record", RECORDS["optimizers"], ids=lambda record: record["expr"])
def test_an_optimizer_takes_the_recorded_steps(record):
    params = parameters()
    optimizer = eval(f"optim.{record['expr']}", {"optim": optim, "p": params})
    seen = []
    for i in range(20):
        take_step(optimizer, params, i)
        if i in (0, 1, 4, 19):
            seen.append([param.detach().reshape(-1).tolist() for param in params])
    for got, wanted in zip(seen, record["params"], strict=True):
        for mine, theirs in zip(got, wanted, strict=True):
            numpy.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    assert repr(optimizer) == record["repr"]
    state = optimizer.state_dict()
    assert {str(number): list(values) for number, values in state["state"].items()} == record["state_keys"]
    assert list(state["param_groups"][0]) == record["group_keys"]


@pytest.mark.parametrize("record", RECORDS["optimizers"], ids=lambda record: record["expr"])
def test_a_resumed_run_takes_the_same_steps(record):
    straight = parameters()
    optimizer = eval(f"optim.{record['expr']}", {"optim": optim, "p": straight})
    for i in range(5):
        take_step(optimizer, straight, i)
    resumed = [nn.Parameter(param.detach().clone()) for param in straight]
    other = eval(f"optim.{record['expr']}", {"optim": optim, "p": resumed})
    other.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    for i in range(5, 10):
        take_step(optimizer, straight, i)
        take_step(other, resumed, i)
    assert [param.tolist() for param in straight] == [param.tolist() for param in resumed]


@pytest.mark.parametrize("record", RECORDS["schedules"], ids=lambda record: record["expr"])
def test_a_schedule_sets_the_recorded_rates(record):
    groups = [{"params": [nn.Parameter(arcgrad.ones(1))], "lr": 0.3}, {"params": [nn.Parameter(arcgrad.ones(1))]}]
    optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule = eval(f"s.{record['expr']}", {"s": optim.lr_scheduler, "o": optimizer})
        seen = [[[group["lr"], group["momentum"]] for group in optimizer.param_groups]]
        for i in range(25):
            optimizer.step()
            if record["expr"].startswith("Reduce"):
                schedule.step(abs(i - 8) + 0.01 * i)
            else:
                schedule.step()
            seen.append([[group["lr"], group["momentum"]] for group in optimizer.param_groups])
    numpy.testing.assert_allclose(seen, record["rates"], rtol=1e-12, atol=0)
    assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


def test_a_schedule_resumes_from_its_state():
    def run(schedule, epochs):
        for _ in range(epochs):
            schedule.optimizer.step()
            schedule.step()

    first = optim.lr_scheduler.CosineAnnealingLR(optim.SGD(parameters(), lr=0.1), 7)
    run(first, 5)
    second = optim.lr_scheduler.CosineAnnealingLR(optim.SGD(parameters(), lr=0.1), 7)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    run(first, 4)
    run(second, 4)
    assert first.get_last_lr() == second.get_last_lr()


def test_stepping_a_schedule_before_the_optimizer_warns():
    schedule = optim.lr_scheduler.StepLR(optim.SGD(parameters(), lr=0.1), 3)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()


def test_a_closure_is_recorded_and_its_loss_returned():
    param = nn.Parameter(arcgrad.tensor([2.0]))
    optimizer = optim.SGD([param], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert param.tolist() == [0.0]


def test_steps_leave_parameters_leaves_without_history():
    param = nn.Parameter(arcgrad.ones(2))
    optimizer = optim.Adam([param])
    param.grad = arcgrad.ones(2)
    optimizer.step()
    assert param.is_leaf
    assert param.requires_grad
    assert param.grad_fn is None


def test_parameters_without_gradient_are_left_alone():
    used, unused = nn.Parameter(arcgrad.ones(1)), nn.Parameter(arcgrad.ones(1))
    optimizer = optim.AdamW([used, unused], lr=0.1)
    used.grad = arcgrad.ones(1)
    optimizer.step()
    assert unused.tolist() == [1.0]
    assert list(optimizer.state_dict()["state"]) == [0]


def test_step_hooks_run_around_the_step():
    param = nn.Parameter(arcgrad.ones(1))
    optimizer, seen = optim.SGD([param], lr=1.0), []
    param.grad = arcgrad.ones(1)
    optimizer.register_step_pre_hook(lambda *args: seen.append(param.item()))
    handle = optimizer.register_step_post_hook(lambda *args: seen.append(param.item()))
    optimizer.step()
    assert seen == [1.0, 0.0]
    handle.remove()
    optimizer.step()
    assert seen == [1.0, 0.0, 0.0]
    assert copy.deepcopy(optimizer).step() is None


def test_zero_grad_drops_or_clears():
    param = nn.Parameter(arcgrad.ones(1))
    optimizer = optim.SGD([param], lr=1.0)
    param.grad = arcgrad.ones(1)
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert param.grad is None


def test_wrong_parameters_raise_as_in_pytorch():
    param = nn.Parameter(arcgrad.ones(1))
    for error, message, call in (
        (ValueError, "empty parameter list", lambda: optim.SGD([], lr=1)),
        (TypeError, "should be an iterable of Tensors or dicts", lambda: optim.SGD(param, lr=1)),
        (TypeError, "can only optimize Tensors", lambda: optim.SGD([3], lr=1)),
        (ValueError, "can't optimize a non-leaf Tensor", lambda: optim.SGD([param * 2], lr=1)),
        (ValueError, "more than one parameter group", lambda: optim.SGD([{"params": param}, {"params": param}], lr=1)),
        (ValueError, "Invalid learning rate", lambda: optim.SGD([param], lr=-1)),
        (ValueError, "Nesterov momentum requires", lambda: optim.SGD([param], lr=1, nesterov=True)),
        (ValueError, "Invalid beta parameter at index 1", lambda: optim.Adam([param], betas=(0.9, 1.0))),
        (
            ValueError,
            "different number of parameter groups",
            lambda: optim.SGD([param]).load_state_dict({"param_groups": []}),
        ),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_step_is_the_same_for_views_of_any_order_and_for_many_parameters_at_once(name):
    """Parameters that do not lie in order, or share memory with one another, move as if they were alone."""
    draw = numpy.random.RandomState(0)
    values, grads = draw.standard_normal((2, 3, 40, 50))

    def moved(params, gradients):
        for param, grad in zip(params, gradients, strict=True):
            param.requires_grad_()
            param.grad = grad
        optimizer = getattr(optim, name)(params, lr=0.1, weight_decay=0.01)
        for _ in range(3):
            optimizer.step()
        return [param.detach().numpy() for param in params]

    alone = [moved([arcgrad.tensor(v)], [arcgrad.tensor(g)])[0] for v, g in zip(values, grads, strict=True)]
    together = moved([arcgrad.tensor(v) for v in values], [arcgrad.tensor(g) for g in grads])
    one_memory = arcgrad.tensor(numpy.concatenate([v.T for v in values]))
    views = [one_memory[50 * i : 50 * (i + 1)].detach().T for i in range(3)]
    turned = moved(views, [arcgrad.tensor(g.T.copy()).T for g in grads])
    for expected, *others in zip(alone, together, turned, strict=True):
        for other in others:
            numpy.testing.assert_array_equal(other, expected)
