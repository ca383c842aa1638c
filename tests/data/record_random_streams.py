"""Records what PyTorch's CPU generator gives after manual_seed; needs torch 2.13.

Run from anywhere: `python tests/data/record_random_streams.py` rewrites random_streams.json beside
this file. Each row is a program of expressions evaluated one after another from one seed; the
numbers of all of them are kept, so that what one call leaves behind for the next (a spare normal
deviate, half a word) is recorded too.
"""

import json
import pathlib

import torch

PROGRAMS = [
    "torch.randn(5, 3)",
    "torch.randn(1)",
    "torch.randn(3); torch.randn(3)",
    "torch.randn(15)",
    "torch.randn(16)",
    "torch.randn(17)",
    "torch.randn(35); torch.randn(2)",
    "torch.randn(3); torch.rand(2); torch.randn(2)",
    "torch.randn(4, dtype=torch.float64)",
    "torch.randn(21, dtype=torch.float64)",
    "torch.randn(1, dtype=torch.float64); torch.randn(1); torch.randn(1, dtype=torch.float64)",
    "torch.randn(0); torch.randn(2)",
    "torch.randn_like(torch.zeros(2, 3))",
    "torch.randn(4, 5).T",
    "torch.rand(2, 3)",
    "torch.rand(3, dtype=torch.float64)",
    "torch.rand(20); torch.rand(1, dtype=torch.float64)",
    "torch.rand_like(torch.zeros(3))",
    "torch.randint(10, (8,))",
    "torch.randint(-5, 5, (2, 4))",
    "torch.randint(0, 2**40, (4,))",
    "torch.randint(0, 256, (5,), dtype=torch.uint8)",
    "torch.randint(3, (4,), dtype=torch.float32)",
    "torch.randint(10, (3,)); torch.rand(2)",
    "torch.randperm(10)",
    "torch.randperm(1); torch.randperm(2); torch.rand(1)",
    "torch.randperm(40)",
    "torch.bernoulli(torch.full((10,), 0.3))",
    "torch.bernoulli(torch.tensor([0.1, 0.9, 0.5, 0.5], dtype=torch.float64))",
    "torch.empty(8).bernoulli_(0.4)",
    "torch.empty(5).uniform_(-2, 3)",
    "torch.empty(5).normal_(10, 2)",
    "torch.empty(18).normal_(10, 2)",
    "torch.normal(0.0, 1.0, (3,))",
    "torch.normal(torch.arange(4.0), torch.full((4,), 0.5))",
    "torch.normal(torch.arange(20.0), 2.0)",
    "torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 3)",
    "torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 6, replacement=True)",
    "torch.multinomial(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), 1)",
    "torch.nn.functional.dropout(torch.ones(12), 0.5)",
    "torch.rand(630)[-3:]; torch.randn(640)[-4:]",
]
SEEDS = [0, 1234, 2**63 + 11, -1]

rows = []
for seed in SEEDS:
    for program in PROGRAMS if seed == 0 else PROGRAMS[::3]:
        torch.manual_seed(seed)
        values = []
        for expression in program.split("; "):
            values.append(eval(expression).tolist())
        rows.append(json.dumps([seed, program, values]))

target = pathlib.Path(__file__).with_name("random_streams.json")
target.write_text("[\n " + ",\n ".join(rows) + "\n]\n")
print(len(rows), "programs")
