"""Layers compute what PyTorch's compute (tests/data/nn.json), and modules register, save and hook as they should."""

import copy
import json
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy
import pytest

import arcgrad
import arcgrad.nn.functional as F
from arcgrad import nn

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "nn.json").read_text())


def tensor(record):
    values = [float(v) if isinstance(v, str) else v for v in record["values"]]
    return arcgrad.tensor(values, dtype=getattr(arcgrad, record["dtype"])).reshape(record["shape"])


def assert_close(actual, record, what):
    if record is None:
        assert actual is None, what
        return
    assert list(actual.shape) == record["shape"], what
    got = numpy.array(actual.detach().tolist(), dtype=float).reshape(-1)
    wanted = numpy.array([float(v) for v in record["values"]])
    numpy.testing.assert_allclose(got, wanted, rtol=2e-5, atol=5e-6, err_msg=what)


def make(record):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = eval(f"nn.{record['expr']}", {"nn": nn})
    return module.train(record["train"])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['expr']}-{record['train']}")
def test_a_layer_computes_and_differentiates_as_recorded(record):
    module = make(record)
    assert repr(module) == record["repr"]
    assert list(module.state_dict()) == list(record["state"])
    module.load_state_dict({name: tensor(value) for name, value in record["state"].items()})
    inputs = [tensor(value) for value in record["inputs"]]
    for value in inputs:
        if value.is_floating_point():
            value.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = module(*inputs)
    assert_close(y, record["output"], "output")
    weights = numpy.cos(numpy.arange(y.numel())).tolist()
    (y * arcgrad.tensor(weights, dtype=y.dtype).reshape(y.shape)).sum().backward()
    for value, wanted in zip(inputs, record["input_grads"], strict=True):
        assert_close(value.grad if value.is_floating_point() else None, wanted, "gradient of an input")
    for name, param in module.named_parameters():
        assert_close(param.grad, record["grads"][name], f"gradient of {name}")
    for name, buffer in module.named_buffers():
        assert_close(buffer, record["after"][name], f"{name} afterwards")


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if r["state"]], ids=lambda record: f"{record['expr']}-{record['train']}"
)
def test_initial_numbers_follow_the_seed_as_recorded(record):
    arcgrad.manual_seed(3)
    for name, value in make(record).state_dict().items():
        assert_close(value, record["state"][name], name)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4))
        self.scale = nn.Parameter(arcgrad.ones(1))
        self.register_buffer("seen", arcgrad.zeros(2))
        self.register_buffer("scratch", arcgrad.zeros(1), persistent=False)
        self.tied = self.first

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


def test_parts_are_found_in_order_of_registration_and_once():
    net = Net()
    names = ["scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert len(list(net.named_parameters(remove_duplicate=False))) == len(names) + 2
    assert [name for name, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_buffer("rest.1.running_mean") is net.rest[1].running_mean
    with pytest.raises(AttributeError, match="has no attribute `nope`"):
        net.get_submodule("rest.nope")


def test_a_state_dict_leaves_out_what_is_not_persistent():
    state = Net().state_dict()
    assert "seen" in state
    assert "scratch" not in state
    assert state._metadata["rest.1"] == {"version": 2}
    assert not state["scale"].requires_grad


def test_loading_reports_everything_that_does_not_fit():
    net = Net()
    state = dict(net.state_dict())
    del state["scale"]
    state["other"] = arcgrad.ones(1)
    state["first.bias"] = arcgrad.ones(7)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert 'Missing key(s) in state_dict: "scale"' in message
    assert 'Unexpected key(s) in state_dict: "other"' in message
    assert "size mismatch for first.bias: copying a param with shape" in message
    del state["first.bias"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale", "first.bias"]
    assert result.unexpected_keys == ["other"]
    assert repr(net.load_state_dict(Net().state_dict())) == "<All keys matched successfully>"
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict(3)


def test_loading_copies_unless_told_to_assign():
    net, other = Net(), Net()
    before = net.scale
    net.load_state_dict({name: value + 1 for name, value in other.state_dict().items()})
    assert net.scale is before
    assert net.scale.item() == 2.0
    net.load_state_dict(other.state_dict(), assign=True)
    assert net.scale is not before
    assert isinstance(net.scale, nn.Parameter)


def test_assignment_registers_and_refuses_what_does_not_fit():
    net = Net()
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = arcgrad.ones(1)
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3
    with pytest.raises(KeyError, match="already exists"):
        net.register_buffer("forward", None)
    net.plain = arcgrad.ones(1)
    assert "plain" not in net.state_dict()
    net.plain = nn.Parameter(arcgrad.ones(1))
    assert "plain" in net.state_dict()
    assert "plain" not in net.__dict__
    del net.plain
    assert not hasattr(net, "plain")
    net.first.weight = None
    assert "first.weight" not in net.state_dict()


def test_parts_before_init_are_refused():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Early()


def test_casting_keeps_parameters_the_same_objects():
    net = Net()
    weight = net.first.weight
    weight.grad = arcgrad.ones(4, 3)
    net.double()
    assert net.first.weight is weight
    assert weight.dtype == arcgrad.float64
    assert weight.grad.dtype == arcgrad.float64
    assert weight.is_leaf
    assert weight.requires_grad
    assert net.rest[1].running_mean.dtype == arcgrad.float64
    assert net.rest[1].num_batches_tracked.dtype == arcgrad.int64
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(arcgrad.int64)


def test_modes_and_gradients_are_set_on_all_parts():
    net = Net().eval()
    assert not any(module.training for module in net.modules())
    net.requires_grad_(False)
    assert not any(param.requires_grad for param in net.parameters())
    net.requires_grad_().train()
    net(arcgrad.ones(5, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert float(net.first.bias.grad.abs().sum()) == 0.0
    net.zero_grad()
    assert all(param.grad is None for param in net.parameters())


def test_a_computed_tensor_may_take_a_parameters_place():
    layer = nn.Linear(2, 2, bias=False)
    source = arcgrad.ones(2, 2, requires_grad=True)
    del layer.weight
    layer.weight = source * 2
    layer(arcgrad.ones(1, 2)).sum().backward()
    assert source.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_forward_hooks_see_and_replace_arguments_and_outputs():
    layer, seen = nn.Identity(), []
    layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    layer.register_forward_hook(lambda module, args, output: seen.append((args[0].item(), output.item())))
    handle = layer.register_forward_hook(lambda module, args, output: output + 1)
    assert layer(arcgrad.tensor(3.0)).item() == 7.0
    assert seen == [(6.0, 6.0)]
    handle.remove()
    assert layer(arcgrad.tensor(3.0)).item() == 6.0


def test_copies_and_pickles_keep_values_and_ties():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.tied is other.first
        assert other.first is not net.first
        assert isinstance(other.scale, nn.Parameter)
        assert other.scale.requires_grad
        for name, value in net.state_dict().items():
            assert other.state_dict()[name].tolist() == value.tolist()


def test_a_parameter_is_a_leaf_and_prints_as_one():
    param = nn.Parameter(arcgrad.ones(2) * 2)
    assert param.is_leaf
    assert param.requires_grad
    assert repr(param) == "Parameter containing:\ntensor([2., 2.], requires_grad=True)"
    assert not isinstance(param * 1, nn.Parameter)
    assert not nn.Parameter(arcgrad.ones(1), requires_grad=False).requires_grad
    assert nn.Parameter().numel() == 0


def test_sequences_of_modules_behave_as_lists():
    chain = nn.Sequential(nn.ReLU(), nn.Tanh())
    chain.append(nn.ELU())
    chain.insert(1, nn.Identity())
    assert [type(module).__name__ for module in chain] == ["ReLU", "Identity", "Tanh", "ELU"]
    assert repr(chain[1:3]) == "Sequential(\n  (1): Identity()\n  (2): Tanh()\n)"
    del chain[0]
    assert list(chain.state_dict()) == []
    assert len(chain + chain) == 6
    with pytest.raises(IndexError, match="out of range"):
        chain[9]
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert named.b is named[1]
    modules = nn.ModuleList([nn.ReLU() for _ in range(3)])
    modules += [nn.Tanh()]
    assert repr(modules) == "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n)"
    table = nn.ModuleDict({"x": nn.Linear(1, 1)})
    table["y"] = nn.ReLU()
    assert list(table) == ["x", "y"]
    assert list(table.state_dict()) == ["x.weight", "x.bias"]
    params = nn.ParameterList([arcgrad.ones(2), arcgrad.zeros(1)])
    assert [name for name, _ in params.named_parameters()] == ["0", "1"]
    assert isinstance(params[-1], nn.Parameter)


def test_gradients_are_clipped_by_norm_and_by_value():
    params = [nn.Parameter(arcgrad.zeros(2)), nn.Parameter(arcgrad.zeros(1))]
    params[0].grad, params[1].grad = arcgrad.tensor([3.0, 0.0]), arcgrad.tensor([4.0])
    assert nn.utils.clip_grad_norm_(params, 1.0).item() == pytest.approx(5.0)
    assert params[1].grad.item() == pytest.approx(0.8, rel=1e-5)
    nn.utils.clip_grad_value_(params, 0.1)
    assert params[0].grad.tolist() == pytest.approx([0.1, 0.0])
    params[0].grad = arcgrad.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)


def test_parameters_become_one_vector_and_come_back():
    params = [nn.Parameter(arcgrad.ones(2, 2)), nn.Parameter(arcgrad.zeros(1))]
    vector = nn.utils.parameters_to_vector(params)
    assert vector.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
    nn.utils.vector_to_parameters(arcgrad.arange(5.0), params)
    assert params[0].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert params[1].tolist() == [4.0]


def test_certain_and_wrong_predictions_have_finite_loss_and_gradient():
    x = arcgrad.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, arcgrad.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    loss.sum().backward()
    assert x.grad.tolist() == pytest.approx([-1e12, 1e12, 0.0, 0.0])


def test_wrong_arguments_raise_as_in_pytorch():
    one = arcgrad.ones(2)
    for error, message, call in (
        (ValueError, "is not a valid value for reduction", lambda: F.mse_loss(one, one, reduction="x")),
        (ValueError, "dropout probability has to be between 0 and 1", lambda: F.dropout(one, 1.5)),
        (ValueError, "deprecated", lambda: F.binary_cross_entropy(one, arcgrad.ones(3))),
        (RuntimeError, "between 0 and 1", lambda: F.binary_cross_entropy(one * 2, one)),
        (
            ValueError,
            "must be the same as input size",
            lambda: F.binary_cross_entropy_with_logits(one, arcgrad.ones(3)),
        ),
        (RuntimeError, "non-positive values for delta", lambda: F.huber_loss(one, one, delta=0)),
        (ValueError, "more than 1 value per channel", lambda: nn.BatchNorm1d(3)(arcgrad.ones(1, 3))),
        (ValueError, "expected 4D input", lambda: nn.BatchNorm2d(3)(arcgrad.ones(2, 3))),
        (ValueError, "divisible by groups", lambda: nn.Conv2d(3, 4, 3, groups=2)),
        (ValueError, "padding='same' is not supported", lambda: nn.Conv2d(3, 3, 3, padding="same", stride=2)),
        (ValueError, "Unsupported nonlinearity", lambda: nn.init.calculate_gain("x")),
        (ValueError, "fewer than 2 dimensions", lambda: nn.init.kaiming_uniform_(one)),
        (NotImplementedError, 'missing the required "forward" function', lambda: nn.Module()(1)),
    ):
        with pytest.raises(error, match=message):
            call()


def test_in_place_activations_write_over_their_input():
    for layer in (nn.ReLU(inplace=True), nn.LeakyReLU(0.5, inplace=True), nn.SiLU(inplace=True), nn.ELU(inplace=True)):
        leaf = arcgrad.tensor([-1.0, 2.0], requires_grad=True)
        x = leaf * 1
        y = layer(x)
        assert y is x
        y.sum().backward()
        other = arcgrad.tensor([-1.0, 2.0], requires_grad=True)
        layer.inplace = False
        layer(other).sum().backward()
        assert leaf.grad.tolist() == other.grad.tolist()


def test_data_parallel_without_gpus_is_the_module_it_wraps():
    module = nn.Linear(2, 3)
    parallel = nn.DataParallel(module)
    assert parallel.module is module
    assert list(parallel.state_dict()) == ["module.weight", "module.bias"]
    assert repr(parallel) == "DataParallel(\n  (module): Linear(in_features=2, out_features=3, bias=True)\n)"
    x = arcgrad.ones(4, 2)
    assert parallel(x).equal(module(x))
    assert parallel(input=x).equal(module(x))
    assert nn.parallel.DataParallel is nn.DataParallel


class Noted(arcgrad.Tensor):
    """A tensor of another class."""


class Leaving(arcgrad.Tensor):
    """A tensor whose `detach` leaves the class."""

    def detach(self):
        return super().detach().as_subclass(arcgrad.Tensor)


def test_a_parameter_of_another_class_is_of_that_class_and_a_parameter():
    data = arcgrad.ones(2).as_subclass(Noted)
    assert not isinstance(data, nn.Parameter)
    p = nn.Parameter(data)
    assert type(p) is Noted
    assert isinstance(p, nn.Parameter)
    assert p is not data
    assert (p.requires_grad, p.is_leaf, nn.Parameter(data, requires_grad=False).requires_grad) == (True, True, False)
    module = nn.Module()
    module.w = p
    assert list(module.parameters()) == [p]
    y = (module.w * 2).sum()
    assert type(y) is Noted
    assert not isinstance(y, nn.Parameter)
    y.backward()
    assert p.grad.tolist() == [2.0, 2.0]
    module.double()
    assert type(module.w) is Noted
    assert isinstance(module.w, nn.Parameter)
    assert module.w.dtype == arcgrad.float64
    with pytest.raises(RuntimeError, match=r"Parameter from an instance of type Leaving requires that detach\(\)"):
        nn.Parameter(arcgrad.ones(2).as_subclass(Leaving))
