"""Learn to read handwritten digits: a small convolutional network, trained on 1,347 scans and tested on 450.

Writes digits.png (the loss as it fell, and test digits with what the network took them for) and exits with status 1
when fewer than 97 % of the held-out digits are read correctly.
"""

import argparse
import sys

import matplotlib

matplotlib.use("Agg")  # a picture file, on machines without a display too

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import arcgrad as torch
import arcgrad.nn.functional as F
from arcgrad import nn, optim

SEED = 0
GOAL = 97.0  # per cent of the held-out digits
BATCH = 32


class DigitNet(nn.Module):
    """Two convolutions, each halving the 8 x 8 picture, and a linear layer that votes: 6,090 parameters."""

    def __init__(self):
        super().__init__()
        self.strokes = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.shapes = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.vote = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x):
        """Scores (N, 10) of pictures (N, 1, 8, 8)."""
        x = F.max_pool2d(F.relu(self.strokes(x)), 2)
        x = F.max_pool2d(F.relu(self.shapes(x)), 2)
        return self.vote(x.flatten(1))


def load():
    """Training and test pictures as float32 in 0 to 1, (N, 1, 8, 8), and their digits as int64, (N,)."""
    pictures, digits = load_digits(return_X_y=True)
    pictures = (pictures / 16.0).astype("float32").reshape(-1, 1, 8, 8)
    split = train_test_split(pictures, digits, test_size=0.25, random_state=SEED, stratify=digits)
    return [torch.from_numpy(part.copy()) for part in split]


def train(model, pictures, digits, epochs):
    """The mean loss of each batch, in order; the model is trained in place."""
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    batches = len(digits) // BATCH  # an epoch drops the few scans that do not fill a batch
    with tqdm(total=epochs * batches, desc="training", unit="batch") as bar:
        for epoch in range(epochs):
            order = torch.randperm(len(digits))
            for batch in range(batches):
                chosen = order[batch * BATCH : (batch + 1) * BATCH]
                loss = F.cross_entropy(model(pictures[chosen]), digits[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.4f}")
    return losses


def draw(path, losses, pictures, digits, guesses):
    """The loss curve beside a sheet of test digits; a wrong guess is red, with the truth in brackets."""
    figure = plt.figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3])
    curve = left.subplots()
    curve.plot(losses, linewidth=0.8)
    curve.set(yscale="log", xlabel="batch", ylabel="cross-entropy", title="Training loss")
    # Wrong ones first, for they are the interesting ones.
    order = sorted(range(len(digits)), key=lambda i: guesses[i] == digits[i])
    for i, axes in zip(order, right.subplots(5, 10).flat, strict=False):
        right_guess = guesses[i] == digits[i]
        axes.imshow(pictures[i, 0], cmap="gray_r")
        axes.set_title(
            f"{guesses[i]}" if right_guess else f"{guesses[i]} ({digits[i]})",
            fontsize=9,
            color="black" if right_guess else "red",
        )
        axes.set_axis_off()
    right.suptitle("Held-out digits and what they were read as")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    """Train, judge, draw; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--picture", default="digits.png")
    options = parser.parse_args()

    torch.manual_seed(SEED)
    train_pictures, test_pictures, train_digits, test_digits = load()
    model = DigitNet()
    losses = train(model, train_pictures, train_digits, options.epochs)

    with torch.no_grad():
        guesses = model(test_pictures).argmax(dim=1)
    correct = (guesses == test_digits).sum().item()
    accuracy = 100.0 * correct / len(test_digits)
    draw(options.picture, losses, test_pictures.numpy(), test_digits.tolist(), guesses.tolist())
    print(f"{accuracy:.2f} % of {len(test_digits)} held-out digits read correctly; see {options.picture}")
    if accuracy < GOAL:
        print(f"that is below the {GOAL:.0f} % that this network reaches when training works")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
