"""Records what PyTorch's profiler answers to what stands in profiled.py; needs torch 2.13.

Run from anywhere: `python tests/data/record_profile.py` rewrites profile.json beside this file.
"""

import json
import pathlib

import profiled
import torch

if __name__ == "__main__":
    answers = {
        "torch": torch.__version__,
        "programs": profiled.record(torch),
        "sums": profiled.sums(torch.autograd.profiler_util),
        "steps": profiled.steps(torch),
        "flops": profiled.flops(torch),
    }
    path = pathlib.Path(__file__).with_name("profile.json")
    path.write_text(json.dumps(answers, indent=1) + "\n")
