"""The profiler: it notes what PyTorch's notes, ranges lie inside of each other, and nothing outlives a profile."""

import gc
import json
import sys
import threading
import warnings

import pytest

import arcgrad as torch
from arcgrad import profiler
from arcgrad.autograd import profiler_util
from arcgrad.autograd.profiler import profile, record_function
from conftest import DATA

sys.path.insert(0, str(DATA))
import profiled

sys.path.remove(str(DATA))

RECORDED = json.loads((DATA / "profile.json").read_text())


def as_data(answer):
    return json.loads(json.dumps(answer))


def named(events, name):
    return [e for e in events if e.name == name]


def step(n=1, size=4):
    x = torch.ones(size, requires_grad=True)
    y = x
    for _ in range(n):
        y = y * 2
    y.sum().backward()


@pytest.fixture(scope="module")
def programs():
    return as_data(profiled.record(torch))


@pytest.mark.parametrize("program", RECORDED["programs"])
@pytest.mark.parametrize("fact", ["calls", "order", "shapes", "inside", "links"])
def test_a_program_is_noted_as_pytorch_notes_it(program, fact, programs):
    assert programs[program][fact] == RECORDED["programs"][program][fact]


SUMS = as_data(profiled.sums(profiler_util))


@pytest.mark.parametrize("fact", RECORDED["sums"])
def test_sums_and_tables_of_given_events_are_pytorchs(fact):
    assert SUMS[fact] == RECORDED["sums"][fact]


def test_the_steps_of_a_schedule_are_pytorchs():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_data(profiled.steps(torch)) == RECORDED["steps"]


def test_as_many_operations_are_counted_of_products_and_sums_as_by_pytorch():
    assert profiled.flops(torch) == RECORDED["flops"]


def test_a_schedule_without_warmup_is_warned_of_and_one_without_steps_refused():
    with pytest.warns(UserWarning, match="warmup"):
        profiler.schedule(wait=0, warmup=0, active=1)
    with pytest.raises(AssertionError):
        profiler.schedule(wait=1, warmup=1, active=0)


def test_children_lie_within_their_parents_and_self_times_add_up_to_the_time_of_the_outermost():
    with profile() as prof, record_function("outer"):
        torch.randn(3)
        step(5)
    events = prof.function_events
    (outer,) = named(events, "outer")
    assert [e.name for e in named(events, "aten::randn")[0].cpu_children] == ["aten::empty", "aten::normal_"]
    assert [e for e in events if e.cpu_parent is None] == [outer]
    for e in events:
        assert e.time_range.start <= e.time_range.end
        assert e.self_cpu_time_total >= 0
        for child in e.cpu_children:
            assert child.cpu_parent is e
            assert e.time_range.start <= child.time_range.start <= child.time_range.end <= e.time_range.end
    assert prof.self_cpu_time_total == pytest.approx(outer.cpu_time_total)
    assert prof.total_average().self_cpu_time_total == pytest.approx(outer.cpu_time_total)
    assert sum(e.self_cpu_time_total for e in prof.key_averages()) == pytest.approx(outer.cpu_time_total)


def test_a_node_has_the_number_of_the_operation_that_recorded_it_and_no_other_operation_has():
    with profile() as prof:
        x = torch.ones(3, requires_grad=True)
        first, second = x.exp(), x.sin()
        (first * second).sum().backward()
        x.detach() + 1
    events = prof.function_events
    for name, node in [("exp", "Exp"), ("sin", "Sin"), ("mul", "Mul"), ("sum", "Sum")]:
        (operation,) = named(events, f"aten::{name}")
        (evaluation,) = named(events, f"autograd::engine::evaluate_function: {node}Backward0")
        (derivative,) = named(events, f"{node}Backward0")
        assert operation.sequence_nr == evaluation.sequence_nr == derivative.sequence_nr >= 0
        assert derivative.cpu_parent is evaluation
        assert derivative.fwd_thread == operation.thread
    numbers = [e.sequence_nr for e in events if e.name.startswith("aten::") and e.sequence_nr >= 0]
    assert len(numbers) == len(set(numbers)) == 4
    assert all(e.sequence_nr == -1 for e in events if "AccumulateGrad" in e.name)


def test_what_a_derivative_records_is_not_the_number_of_the_operation_around_it():
    x = torch.ones(3, requires_grad=True)

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad.mul(2)

    y = Twice.apply(x * 1).sum()
    with profile() as prof:
        torch.autograd.grad(y, x, create_graph=True)
    (inner,) = named(prof.function_events, "aten::mul")
    (node,) = named(prof.function_events, "TwiceBackward")
    assert inner.cpu_parent is node
    assert node.sequence_nr >= 0
    assert inner.sequence_nr != node.sequence_nr


def test_shapes_are_those_of_the_arguments_and_absent_unless_asked_for():
    layer = torch.nn.Linear(20, 30)
    with profile(record_shapes=True) as prof:
        layer(torch.zeros(128, 20))
        torch.nn.functional.linear(torch.zeros(2, 20), layer.weight, bias=None)
    shapes = [e.input_shapes for e in named(prof.function_events, "aten::linear")]
    assert shapes == [[[128, 20], [30, 20], [30]], [[2, 20], [30, 20], []]]
    averages = prof.key_averages(group_by_input_shape=True)
    assert [e.count for e in named_keys(averages, "aten::linear")] == [1, 1]
    assert [e.count for e in named_keys(prof.key_averages(), "aten::linear")] == [2]
    with profile() as prof:
        layer(torch.zeros(1, 20))
    assert [e.input_shapes for e in prof.function_events if e.input_shapes] == []


def named_keys(averages, key):
    return [e for e in averages if e.key == key]


def test_memory_is_what_was_allocated_less_what_was_freed():
    with profile(profile_memory=True) as prof:
        kept = torch.randn(1000, dtype=torch.float64)
        with record_function("temporary"):
            del kept
            torch.zeros(10) + 1
    (randn,) = named(prof.function_events, "aten::randn")
    (temporary,) = named(prof.function_events, "temporary")
    assert 8000 <= randn.cpu_memory_usage < 8000 * 9 / 8 + 64
    assert randn.self_cpu_memory_usage == 0
    assert temporary.cpu_memory_usage < -7000
    assert "Self CPU Mem" in prof.table()


def test_the_stack_of_an_event_names_the_users_lines_innermost_first():
    def inner():
        return torch.ones(2).exp()

    def outer():
        return inner()

    with profile(with_stack=True) as prof:
        outer()
    (exp,) = named(prof.function_events, "aten::exp")
    assert [line.rsplit(": ")[-1] for line in exp.stack[:2]] == ["inner", "outer"]
    line = inner.__code__.co_firstlineno + 1
    assert exp.stack[0] == f"{__file__}({line}): inner"


def test_exceptions_end_the_ranges_that_they_pass_and_leave_the_profiler_usable():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise ZeroDivisionError

    x = torch.ones(2, requires_grad=True)
    a, b = torch.ones(2), torch.ones(3)
    with pytest.raises(RuntimeError), profile() as prof, record_function("outer"):
        a.add(b)
    assert [e.name for e in prof.function_events] == ["outer", "aten::add"]
    y = Fails.apply(x).sum()
    with pytest.raises(ZeroDivisionError), profile() as prof, record_function("outer"):
        y.backward()
    names = [e.name for e in prof.function_events]
    assert "FailsBackward" in names
    (outer,) = named(prof.function_events, "outer")
    assert all(e is outer or e.cpu_parent is not None for e in prof.function_events)
    assert not torch.autograd._profiler_enabled()
    with profile() as prof:
        step()
    assert len(named(prof.function_events, "aten::mul")) == 1
    assert all(e.cpu_parent is None for e in prof.function_events if e.name.startswith("aten::"))


def test_one_profile_at_a_time_and_once_each():
    with profile() as prof:
        with pytest.raises(RuntimeError, match="profiles already"), profile():
            pass
        assert torch.autograd._profiler_enabled()
        step()
        with pytest.raises(RuntimeError, match="not reentrant"):
            prof.__enter__()
    assert len(named(prof.function_events, "aten::mul")) == 1
    with pytest.raises(RuntimeError, match="not reentrant"), prof:
        pass
    with profile(enabled=False) as nothing:
        assert not torch.autograd._profiler_enabled()
    assert nothing is None


def test_ranges_may_end_in_any_order_on_any_thread_and_belong_to_the_profile_they_began_in():
    early = record_function("early").__enter__()
    with profile() as first:
        a, b = record_function("a").__enter__(), record_function("b").__enter__()
        a.__exit__(None, None, None)
        thread = threading.Thread(target=b.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        a.__exit__(None, None, None)
        early.__exit__(None, None, None)
        late = record_function("late").__enter__()
    with profile() as second:
        late.__exit__(None, None, None)
    assert [(e.name, e.is_async) for e in first.function_events] == [("a", False), ("b", True)]
    assert all(e.is_user_annotation for e in first.function_events)
    assert list(second.function_events) == []


def test_a_decorated_function_has_a_range_for_each_call_and_may_call_itself():
    @record_function("f")
    def f(n):
        """Words."""
        return n and f(n - 1)

    with profile() as prof:
        f(3)
    events = named(prof.function_events, "f")
    assert [e.cpu_parent for e in events] == [None, *events[:-1]]
    assert (f.__name__, f.__doc__) == ("f", "Words.")


def test_the_pair_of_calls_is_a_range():
    with profile() as prof:
        handle = torch.ops.profiler._record_function_enter("bar", None)
        torch.ones(2).exp()
        torch.ops.profiler._record_function_exit(handle)
    assert named(prof.function_events, "aten::exp")[0].cpu_parent.name == "bar"


def test_each_thread_has_a_number_and_no_event_is_lost():
    def body():
        with record_function("thread"):
            step(50)

    with profile() as prof:
        threads = [threading.Thread(target=body) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    ranges = named(prof.function_events, "thread")
    assert len({e.thread for e in ranges}) == 4
    for outer in ranges:
        own = [e for e in prof.function_events if e.thread == outer.thread]
        assert len(named(own, "aten::mul")) == len(named(own, "MulBackward0")) == 50
        assert all(e.cpu_parent is not None for e in own if e is not outer)
        assert {e.fwd_thread for e in named(own, "MulBackward0")} == {outer.thread}


def test_nodes_that_helpers_run_are_noted_with_the_thread_that_recorded_them(alone):
    answers = alone("""
import arcgrad as torch
torch.set_num_threads(2)
x = torch.randn(300, 300, requires_grad=True)
for _ in range(50):  # a helper may be late
    with torch.autograd.profiler.profile() as prof:
        sum((x @ (x * k)).sum() for k in range(1, 17)).backward()
    events = [e for e in prof.function_events if e.name == "MmBackward0"]
    if len({e.thread for e in events}) == 2:
        break
me = next(e for e in prof.function_events if e.name == "aten::matmul").thread
print(len(events), len({e.thread for e in events}), {e.fwd_thread for e in events} == {me})
""")
    assert answers == ["16 2 True"]


def test_a_forked_child_profiles_on_its_own(alone):
    answers = alone("""
import os, warnings, arcgrad as torch
from arcgrad.autograd.profiler import profile, record_function
warnings.simplefilter("ignore", DeprecationWarning)
def count(prof):
    return sum(e.name == "aten::exp" for e in prof.function_events)
with profile() as parents:
    torch.ones(2).exp()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        parents.__exit__(None, None, None)
        with profile() as prof:
            torch.ones(2).exp(); torch.ones(2).exp()
        os.write(write, f"{count(parents)} {count(prof)}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
print(count(parents), os.read(read, 100).decode())
""")
    assert answers == ["1 1 2"]


def test_a_profile_keeps_no_tensor_and_takes_no_memory_when_it_is_over(alone):
    answers = alone("""
import gc, resource, weakref, arcgrad as torch
from arcgrad.autograd.profiler import profile, record_function
def run(with_stack=False):
    with profile(record_shapes=True, with_stack=with_stack, profile_memory=True) as prof, record_function("r"):
        for _ in range(300):
            x = torch.ones(8, requires_grad=True)
            (x * 2).sum().backward()
    return prof, weakref.ref(x), weakref.ref(x.grad_fn or x)
prof, *references = run(with_stack=True)
print([r() for r in references])
del prof
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(5):
    run()
gc.collect()
before = peak()
for _ in range(25):
    run()
print(peak() - before < 8000, torch.autograd._profiler_enabled())
""")
    assert answers == ["[None, None]", "True False"]


def test_a_trace_is_json_with_an_arrow_from_each_operation_to_its_derivative(tmp_path):
    with profile(record_shapes=True) as prof, record_function("outer"):
        step(2)
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [e for e in trace if e["ph"] == "X"]
    assert [e["name"] for e in slices] == [e.name for e in prof.function_events]
    assert slices[0]["cat"] == "user_annotation"
    at = {(e["ts"], e["tid"]): e["name"] for e in slices}
    starts = {e["id"]: at[e["ts"], e["tid"]] for e in trace if e["ph"] == "s"}
    ends = {e["id"]: at[e["ts"], e["tid"]] for e in trace if e["ph"] == "f"}
    arrows = sorted((starts[i], ends[i]) for i in ends)
    assert arrows == [("aten::mul", "MulBackward0")] * 2 + [("aten::sum", "SumBackward0")]


def test_stacks_are_written_for_a_flame_graph(tmp_path):
    with profile(with_stack=True) as prof:
        torch.randn(100_000)
    prof.export_stacks(tmp_path / "stacks")
    lines = (tmp_path / "stacks").read_text().splitlines()
    stack, time = lines[0].rsplit(" ", 1)
    assert " " not in stack
    assert "test_profiler.py" in stack.split(";")[-1]
    assert int(time) > 0
    with pytest.raises(ValueError, match="metric should be one of"):
        prof.export_stacks(tmp_path / "stacks", "self_cuda_time_total")


def test_events_of_different_names_do_not_add_up():
    total = profiler_util.FunctionEventAvg()
    total.add(profiler_util.FunctionEvent(0, "a", 0, 0, 1))
    with pytest.raises(ValueError, match="'b' cannot be added to those of 'a'"):
        total.add(profiler_util.FunctionEvent(0, "b", 0, 0, 1))


def test_anomaly_detection_and_profiles_do_not_switch_each_other_off():
    with profile() as prof:
        with torch.autograd.set_detect_anomaly(True):
            step()
        assert torch.autograd._profiler_enabled()
        step()
    assert len(named(prof.function_events, "MulBackward0")) == 2
    with torch.autograd.set_detect_anomaly(True):
        with profile():
            pass
        assert torch.is_anomaly_enabled()


def test_before_its_block_has_ended_a_profile_has_no_events():
    prof = profile()
    assert (prof.table(), list(prof.key_averages()), prof.self_cpu_time_total) == ("", [], 0)
    assert repr(prof) == "<unfinished torch.autograd.profile>"
    with pytest.raises(AssertionError):
        profile(use_cpu=False)
    with pytest.warns(UserWarning, match="no device but the CPU"):
        profile(use_device="cuda")
    assert torch.autograd.kineto_available() is False
    assert torch.profiler.itt.is_available() is False


def test_a_profile_that_is_over_forgotten_or_failed_leaves_the_next_one_alone():
    cpu = [torch.profiler.ProfilerActivity.CPU]

    def is_free():
        with torch.profiler.profile(activities=cpu) as p:
            torch.ones(1) + 1
        return any(event.name == "aten::add" for event in p.events())

    with torch.profiler.profile(activities=cpu) as over:
        torch.ones(1)
    over.step()
    assert is_free()

    forgotten = torch.autograd.profiler.profile()
    forgotten.__enter__()
    del forgotten
    gc.collect()
    assert is_free()

    def schedule(step):
        if step == 1:
            raise KeyError("mine")
        return torch.profiler.ProfilerAction.RECORD

    with pytest.raises(KeyError, match="mine"), torch.profiler.profile(activities=cpu, schedule=schedule) as failing:
        failing.step()
    assert is_free()
