"""Programs to profile, events to write out, and what is compared of both.

Operations that take place inside of other operations, or inside of nodes, are left out: what an operation is made of is
each library's own affair.
"""

import collections

PROGRAMS = {
    "mlp": """
F = torch.nn.functional
torch.manual_seed(0)
x, t = torch.randn(8, 5), torch.randint(0, 3, (8,))
w, b = torch.randn(5, 7, requires_grad=True), torch.randn(7, requires_grad=True)
v, c = torch.randn(7, 3, requires_grad=True), torch.randn(3, requires_grad=True)
def run():
    for _ in range(2):
        F.cross_entropy(F.relu(x @ w + b) @ v + c, t).backward()
""",
    "operators": """
x, y = torch.rand(3, 4, requires_grad=True), torch.rand(3, 4, requires_grad=True)
def run():
    with torch.autograd.profiler.record_function("outer"):
        z = (x + y) * 2 - 1
        with torch.autograd.profiler.record_function("inner"):
            z = 1 - z / y ** 2
    (-z).exp().sum(dim=0)[1].backward()
    with torch.no_grad():
        x.add_(1); x.mul_(2); z += 1; z *= 3; z @ z.t(); z > 0; z[1:]; z.mean(); z.reshape(12); torch.cat([z, z])
""",
}


def parent_of_note(event):
    """The nearest range around an event that is no operation."""
    parent = event.cpu_parent
    while parent is not None and is_operation(parent):
        parent = parent.cpu_parent
    return parent


def is_operation(event):
    return event.name.startswith("aten::")


def facts(events):
    """What is noted: calls in their order, each with its shapes and what it is inside of, and which node is linked to which."""
    events = [e for e in events if not is_operation(e) or e.cpu_parent is None or not is_operation(e.cpu_parent)]
    # What runs inside of nodes, and the first gradient that a pass makes, are each library's own affair, too.
    ours = [e for e in events if not (is_operation(e) and is_inside_a_node(e)) and e.name != "aten::ones_like"]
    recorded = {}
    for e in ours:
        if is_operation(e) and e.sequence_nr >= 0:
            recorded[e.sequence_nr] = e
    links = collections.Counter()
    for e in ours:
        if e.scope == 1 and e.sequence_nr in recorded:
            links[f"{recorded[e.sequence_nr].name} -> {e.name}"] += 1
    return {
        "calls": collections.Counter(e.name for e in ours),
        "order": [e.name for e in ours if is_operation(e)],
        "shapes": [without_further_arguments(e.input_shapes) for e in ours if is_operation(e)],
        "inside": [p.name for e in ours if (p := parent_of_note(e)) is not None],
        "links": links,
    }


def without_further_arguments(shapes):
    """The shapes up to the last tensor: how many options come after it is each library's own affair."""
    while shapes and not shapes[-1]:
        shapes = shapes[:-1]
    return shapes


def is_inside_a_node(event):
    parent = event.cpu_parent
    while parent is not None:
        if parent.scope == 1 or parent.name.startswith("autograd::engine"):
            return True
        parent = parent.cpu_parent
    return False


def record(torch):
    """The facts of all programs, run with this module as `torch`."""
    answers = {}
    for name, program in PROGRAMS.items():
        scope = {"torch": torch}
        exec(program, scope)
        scope["run"]()
        with torch.autograd.profiler.profile(record_shapes=True) as prof:
            scope["run"]()
        answers[name] = facts(prof.function_events)
    return answers


# Of each event: its name, thread, times, input shapes, and the bytes it allocated.
EVENTS = [
    ("a range with a name that is too long for a column of its own width", 1, 0, 5000, [], 64),
    ("aten::mul", 1, 10, 1500.25, [[2, 3], []], 0),
    ("aten::to", 1, 20, 21, [[]], -2048),
    ("aten::mul", 1, 1600, 1700, [[2, 3], []], 5 << 20),
    ("aten::mul", 2, 0, 2_500_000, [[4], [4]], 3),
    ("aten::add", 2, 2_500_000, 2_500_000.5, [[4], [4], []], 0),
]
TABLES = [
    {},
    {"sort_by": "self_cpu_time_total", "row_limit": 2, "header": "TITLE"},
    {"sort_by": "count", "max_name_column_width": 30, "max_shapes_column_width": 10},
    {"top_level_events_only": True, "row_limit": -1, "time_unit": "ms"},
]


def sums(util):
    """Made-up events as tables and sums, by a `profiler_util`."""
    answers = {}
    for memory in (False, True):
        events = util.EventList(profile_memory=memory)
        for id, (name, thread, start, end, shapes, nbytes) in enumerate(EVENTS):
            events.append(
                util.FunctionEvent(
                    id=id,
                    name=name,
                    thread=thread,
                    start_us=start,
                    end_us=end,
                    input_shapes=shapes,
                    cpu_memory_usage=nbytes,
                    stack=[],
                )
            )
        events._build_tree()
        answers[f"children, {memory=}"] = [[child.id for child in e.cpu_children] for e in events]
        for by_shape in (False, True):
            averages = events.key_averages(group_by_input_shapes=by_shape)
            answers[f"averages, {memory=}, {by_shape=}"] = [quantities(e) for e in averages]
            answers[f"tables, {memory=}, {by_shape=}"] = [averages.table(**options) for options in TABLES]
        answers[f"tables, {memory=}"] = [events.table(**options) for options in TABLES]
        answers[f"total, {memory=}"] = quantities(events.total_average(), shapes=False)
        answers[f"self, {memory=}"] = events.self_cpu_time_total
    times = (0, 0.5, 12.3456, 999.9999, 1500, 2.5e6, 3e9)
    answers["times"] = [util._format_time(t) for t in times] + [util._format_time_share(3, 7)]
    return answers


def quantities(e, shapes=True):
    times = [e.cpu_time_total, e.self_cpu_time_total, e.cpu_time, e.cpu_time_str]
    return [e.key, e.count, *times, e.cpu_memory_usage, e.self_cpu_memory_usage, *([str(e.input_shapes)] if shapes else [])]


SCHEDULES = [
    {"wait": 1, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 1},
    {"wait": 0, "warmup": 2, "active": 1},
    {"wait": 3, "warmup": 1, "active": 1, "repeat": 1, "skip_first": 2, "skip_first_wait": 1},
]


def steps(torch):
    """What is done in each step of the schedules, and what a scheduled profile tells of."""
    answers = []
    for plan in SCHEDULES:
        action, told = torch.profiler.schedule(**plan), []
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU],
            schedule=action,
            on_trace_ready=lambda prof, told=told: told.append([prof.step_num, *names(prof.events())]),
        ) as prof:
            for _ in range(14):
                torch.ones(2).exp()
                prof.step()
        answers.append([[action(step).name for step in range(14)], told])
    return answers


def names(events):
    return [e.name for e in events if e.name in ("aten::exp", "ProfilerStep*")]


PRODUCTS = """
a.mm(a); a @ a; torch.addmm(a, a, a); torch.bmm(b, b); torch.baddbmm(b, b, b); a * a; a + a; a * 2; a.exp(); b.matmul(b)
"""


def flops(torch):
    """The operations that are counted of products and sums."""
    scope = {"torch": torch, "a": torch.ones(3, 3), "b": torch.ones(2, 4, 4)}
    with torch.autograd.profiler.profile(with_flops=True) as prof:
        exec(PRODUCTS, scope)
    return sum(e.flops or 0 for e in prof.function_events)
