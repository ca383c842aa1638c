"""Records what PyTorch's CPU generator answers into random.json; needs torch 2.13 (x86-64 Linux), which the tests do not.

Each script seeds one generator and makes calls on it in turn, so that a normal sample cached by one call reaches the next.
Values are recorded by their bits, in hexadecimal.

    python tests/data/record_random.py > tests/data/random.json
"""

import json
import struct
import sys

import torch

SIZES = [1, 5, 15, 16, 17, 33, 100]
FLOATS = ["float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]


def bits(tensor):
    """The elements' bytes, each element little-endian."""
    return tensor.contiguous().numpy().tobytes().hex()


def fnv1a(data):
    """The 64-bit hash of Fowler, Noll and Vo, which a test can afford to write out."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & (2**64 - 1)
    return f"{digest:016x}"


class Script:
    def __init__(self, seed):
        self.generator = torch.Generator()
        self.generator.manual_seed(seed)
        self.record = {"seed": str(self.generator.initial_seed()), "calls": []}

    def fill(self, op, dtype, size, *parameters):
        tensor = torch.empty(size, dtype=getattr(torch, dtype))
        getattr(tensor, op + "_")(*parameters, generator=self.generator)
        self.note(op, dtype, size, parameters, tensor)

    def with_gaps(self, dtype, size, mean, std):
        tensor = torch.empty(size, 2, dtype=getattr(torch, dtype))[:, 0]
        tensor.normal_(mean, std, generator=self.generator)
        self.note("normal_pairs", dtype, size, (mean, std), tensor)

    def randint(self, dtype, size, low, high):
        tensor = torch.randint(low, high, (size,), dtype=getattr(torch, dtype), generator=self.generator)
        # As strings: a reader of JSON may take large numbers for doubles.
        self.note("randint", dtype, size, (str(low), str(high)), tensor)

    def randperm(self, size):
        self.note("randperm", "int64", size, (), torch.randperm(size, generator=self.generator))

    def bernoulli_each(self, dtype, size):
        p = torch.linspace(0, 1, size, dtype=getattr(torch, dtype))
        self.note("bernoulli_each", dtype, size, (bits(p),), torch.bernoulli(p, generator=self.generator))

    def multinomial(self, dtype, rows, categories, samples, replacement):
        # A weight of zero in each row, and no two rows alike.
        ramp = torch.arange(rows * categories, dtype=getattr(torch, dtype)).reshape(rows, categories)
        weights = (ramp * 7) % 11 + (ramp % categories)
        drawn = torch.multinomial(weights, samples, replacement, generator=self.generator)
        self.note("multinomial", dtype, rows * samples, (bits(weights), categories, samples, replacement), drawn)

    def note(self, op, dtype, size, parameters, out):
        # Long answers are recorded by their hash.
        answer = bits(out) if size <= 100 else "hash " + fnv1a(bytes.fromhex(bits(out)))
        self.record["calls"].append([op, dtype, size, list(parameters), answer])

    def end(self):
        state = bytes(self.generator.get_state().tolist())
        self.record["state_hash"] = fnv1a(state)
        self.record["normal_is_cached"] = struct.unpack_from("<i", state, 5040)[0] != 0
        return self.record


def continuous(script, sizes):
    for size in sizes:
        for dtype in FLOATS:
            script.fill("uniform", dtype, size, 0.0, 1.0)
            script.fill("uniform", dtype, size, -0.7, 1.9)
            script.fill("normal", dtype, size, 0.0, 1.0)
            script.fill("normal", dtype, size, 0.7, 1.3)
            script.with_gaps(dtype, size, -0.3, 2.1)
            script.fill("exponential", dtype, size, 1.5)
            script.fill("cauchy", dtype, size, 0.7, 1.3)
            script.fill("log_normal", dtype, size, 0.3, 0.7)


def discrete(script, sizes):
    for size in sizes:
        for dtype in FLOATS:
            script.bernoulli_each(dtype, size)
        for dtype in FLOATS + INTEGERS:
            script.fill("geometric", dtype, size, 0.3)
        for dtype in FLOATS + INTEGERS + ["bool"]:
            script.fill("bernoulli", dtype, size, 0.3)
            script.fill("random", dtype, size)
            script.randint(dtype, size, 0, 2)
        for dtype in FLOATS + INTEGERS:
            script.randint(dtype, size, 3, 101)
        for dtype in FLOATS + ["int8", "int16", "int32", "int64"]:
            script.randint(dtype, size, -100, 27)
        # 2.13 spends 64 bits on ranges of 2**28 and more.
        for dtype in ["int32", "int64"]:
            script.randint(dtype, size, 0, 2**28 - 1)
            script.randint(dtype, size, 0, 2**28)
        script.randint("float64", size, 0, 2**40)
        script.randint("int32", size, -(2**31), 2**31 - 1)
        script.randint("int64", size, 0, 2**32)
        script.randint("int64", size, -(2**63), 2**63 - 1)
        script.randperm(size)


def choices(script):
    for dtype in FLOATS:
        for rows, categories, samples, replacement in [
            (1, 4, 1, False),
            (1, 4, 1, True),
            (1, 7, 6, False),
            (1, 7, 20, True),
            (3, 10, 9, False),
            (3, 10, 5, True),
            (2, 300, 4, False),
        ]:
            script.multinomial(dtype, rows, categories, samples, replacement)


def scripts():
    script = Script(0)
    continuous(script, SIZES)
    yield script.end()
    script = Script(0)
    discrete(script, [1, 15, 33])
    yield script.end()
    # Negative seeds wrap to 64 bits; the last one differs from zero only where the twister does not look.
    for seed in [1, 42, 2**31, 2**63 + 5, -1, -5, 2**40]:
        script = Script(seed)
        continuous(script, [3])
        script.fill("normal", "float32", 17, 0.0, 1.0)
        script.randint("int64", 5, 0, 1000)
        script.randperm(5)
        yield script.end()
    script = Script(7)
    choices(script)
    yield script.end()
    # Odd numbers of pairs between runs of every kind: the cached sample must pass them by, and only pairs may take it.
    script = Script(3)
    for size in [1, 16, 1, 3, 33, 2, 5, 1]:
        for dtype in FLOATS:
            script.fill("normal", dtype, size, 0.1, 1.7)
            script.fill("log_normal", dtype, 1, 0.0, 1.0)
        script.fill("uniform", "float32", 1, 0.0, 1.0)
    script.fill("normal", "float64", 1, 0.0, 1.0)
    yield script.end()
    # An odd offset of 32-bit draws, so that a 64-bit draw straddles the twister's block of 624 words.
    script = Script(9)
    script.fill("uniform", "float32", 623, 0.0, 1.0)
    script.fill("uniform", "float64", 2, 0.0, 1.0)
    script.fill("bernoulli", "uint8", 700, 0.5)
    script.randperm(700)
    # More than one strip of blocks.
    script.fill("normal", "float32", 2500, 0.7, 1.3)
    script.fill("normal", "float64", 2500, 0.7, 1.3)
    yield script.end()


def saved_state():
    """A state with a cached sample, and what comes after it."""
    generator = torch.Generator()
    generator.manual_seed(11)
    torch.empty(3, dtype=torch.float64).normal_(generator=generator)
    state = bytes(generator.get_state().tolist())
    normal = torch.empty(1, dtype=torch.float64).normal_(generator=generator)
    uniform = torch.empty(5).uniform_(generator=generator)
    return {"bytes": state.hex(), "normal_after": bits(normal), "uniform_after": bits(uniform)}


def main():
    print('{"saved_state":', json.dumps(saved_state()), ',\n"scripts": [')
    lines = []
    for record in scripts():
        calls = record.pop("calls")
        head = json.dumps(record)[:-1]
        lines.append(head + ', "calls": [\n' + ",\n".join(json.dumps(call) for call in calls) + "]}")
    sys.stdout.write(",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
