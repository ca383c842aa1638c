"""Modules and optimizers: training from manual_seed gives PyTorch's numbers; Module keeps its books."""

import json
import pathlib
import pickle

import numpy as np
import pytest

import arcgrad as torch

nn = torch.nn
RECORDED = json.loads((pathlib.Path(__file__).parent.parent / "data" / "nn_training.json").read_text())


@pytest.mark.parametrize(
    ("model", "loss", "optimizer", "shape", "losses", "parameters"),
    RECORDED,
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_training_gives_pytorchs_losses_and_parameters(model, loss, optimizer, shape, losses, parameters):
    scope = {"torch": torch, "nn": nn, "F": nn.functional, "optim": torch.optim}
    torch.manual_seed(0)
    scope["model"] = eval(model, scope)
    scope["optimizer"] = eval(optimizer, scope)
    x = torch.randn(*shape)
    scope["target"] = torch.randn(5, 3)
    scope["classes"] = torch.tensor([0, 2, 1, 1, 0])
    got = []
    for _ in losses:
        scope["optimizer"].zero_grad()
        scope["y"] = scope["model"](x)
        value = eval(loss, scope)
        value.backward()
        scope["optimizer"].step()
        got.append(value.item())
    np.testing.assert_allclose(got, losses, rtol=2e-5)
    named = dict(scope["model"].named_parameters())
    assert list(named) == list(parameters)
    for name, values in parameters.items():
        np.testing.assert_allclose(named[name].detach().numpy().reshape(-1)[:12], values, rtol=1e-4, atol=1e-6)


class Net(nn.Module):
    """Two layers, one of them in a container."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 1))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


def test_modules_register_parameters_and_children_by_name():
    net = Net()
    names = ["scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert len(list(net.parameters())) == 5
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_parameters_are_tensors_that_require_grad_and_say_so():
    p = nn.Parameter(torch.ones(2))
    assert isinstance(p, torch.Tensor)
    assert p.requires_grad
    assert repr(p).startswith("Parameter containing:\n")
    assert not nn.Parameter(torch.ones(2), requires_grad=False).requires_grad
    assert type(p * 2) is torch.Tensor
    assert isinstance(pickle.loads(pickle.dumps(p)), nn.Parameter)


def test_state_dict_round_trips():
    torch.manual_seed(1)
    one, other = Net(), Net()
    other.load_state_dict(one.state_dict())
    x = torch.ones(4, 2)
    assert torch.equal(one(x), other(x))
    state = pickle.loads(pickle.dumps(one.state_dict()))
    assert list(state) == list(one.state_dict())


def test_zero_grad_forgets_gradients_and_train_and_eval_reach_children():
    net = Net()
    net(torch.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.eval()
    assert not net.rest[1].training
    net.train()
    assert net.rest[1].training


def test_dropout_acts_in_training_alone():
    layer = nn.Dropout(0.5)
    x = torch.ones(1000)
    assert (layer(x) == 0).any().item()
    layer.eval()
    assert torch.equal(layer(x), x)


def test_a_module_prints_as_its_tree():
    assert repr(nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    assert text == "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): ReLU()\n)"


def test_an_optimizer_skips_parameters_without_a_gradient():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([a, b], lr=1.0)
    (a * 2).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (-1, 1)


def test_parameter_groups_have_rates_of_their_own():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.1}], lr=1.0)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0, pytest.approx(0.9))
    assert [g["lr"] for g in optimizer.param_groups] == [1.0, 0.1]


def test_a_regression_reaches_its_solution():
    torch.manual_seed(0)
    x = torch.randn(100, 3)
    w = torch.tensor([[1.0, -2.0, 0.5]])
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), x @ w.T + 0.25).backward()
        optimizer.step()
    assert torch.allclose(model.weight, w, atol=1e-2)
    assert model.bias.item() == pytest.approx(0.25, abs=1e-2)
