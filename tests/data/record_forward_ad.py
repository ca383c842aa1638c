"""Record in forward_ad.json what PyTorch answers to the programs of forward_ad.py. The tests only read the file."""

import json
from pathlib import Path

import forward_ad
import torch
import torch.autograd.forward_ad as fw

if __name__ == "__main__":
    answers = forward_ad.run(torch, fw)
    lines = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items()]
    Path(__file__).with_suffix("").with_name("forward_ad.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
