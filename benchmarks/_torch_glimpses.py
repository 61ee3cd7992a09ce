"""Recurrent visual attention as it is written in PyTorch, with two kinds of retina."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

CLASSES = 10
STD = 0.1


def cut(
    images: torch.Tensor, locations: torch.Tensor, size: int, scales: int
) -> torch.Tensor:
    """Indexes the widest patch of a padded image, and averages the wider ones.

    Images `(b, c, h, w)`, locations `(b, 2)`, rows and columns, to `(b, k, c, g, g)`:
    what `keras_attn.ops.glimpse` computes.
    """
    batch, _, height, width = images.shape
    widest = size * 2 ** (scales - 1)
    margin = (widest - size) // 2
    padded = functional.pad(images, (widest,) * 4)
    lengths = torch.tensor([height, width], dtype=torch.float32)
    first = torch.floor((locations + 1) / 2 * lengths - size / 2 + 0.5).long() - margin
    first = torch.minimum(first.clamp(min=-widest), lengths.long()) + widest
    places = torch.arange(widest)
    rows = (first[:, 0, None] + places)[:, :, None]
    columns = (first[:, 1, None] + places)[:, None, :]
    rows, columns = (
        rows.clamp(max=height + 2 * widest - 1),
        columns.clamp(max=width + 2 * widest - 1),
    )
    index = torch.arange(batch)[:, None, None]
    patch = padded.permute(0, 2, 3, 1)[index, rows, columns].permute(0, 3, 1, 2)
    views = []
    for scale in range(scales):
        side = size * 2**scale
        start = margin - (side - size) // 2
        inner = patch[:, :, start : start + side, start : start + side]
        views.append(functional.avg_pool2d(inner, 2**scale) if scale else inner)
    return torch.stack(views, dim=1)


def sample(
    images: torch.Tensor, locations: torch.Tensor, size: int, scales: int
) -> torch.Tensor:
    """`grid_sample` at `size` points along a side of each scale: no averages."""
    height, width = images.shape[2:]
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    views = []
    for scale in range(scales):
        side = size * 2**scale
        grid = torch.stack([columns * side / width, rows * side / height], dim=-1)
        grid = grid[None] + locations.flip(-1)[:, None, None]
        views.append(functional.grid_sample(images, grid, align_corners=False))
    return torch.stack(views, dim=1)


RETINAS = {"index": cut, "grid_sample": sample}


class GlimpseNet(nn.Module):
    """The network of the page `glimpse`; what needs no loop comes after it."""

    def __init__(self, size: int, glimpses: int, units: int, retina: str):
        super().__init__()
        half = units // 2
        self.what, self.where = nn.Linear(size * size, half), nn.Linear(2, half)
        self.joint = nn.Linear(2 * half, units)
        self.core, self.recurrent = (
            nn.Linear(units, units),
            nn.Linear(units, units, bias=False),
        )
        self.policy, self.baseline = nn.Linear(units, 2), nn.Linear(units, 1)
        self.classifier = nn.Linear(units, CLASSES)
        self.size, self.glimpses, self.retina = size, glimpses, RETINAS[retina]

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        batch = len(images)
        state = torch.zeros(batch, self.recurrent.in_features)
        location = torch.zeros(batch, 2)
        states, drawn = [], []
        for step in range(self.glimpses):
            view = self.retina(images, location, self.size, 1).flatten(1)
            what, where = self.what(view).relu(), self.where(location).relu()
            seen = self.joint(torch.cat([what, where], dim=-1)).relu()
            state = (self.core(seen) + self.recurrent(state)).relu()
            if step == self.glimpses - 1:
                break
            states.append(state.detach())
            with torch.no_grad():
                mean = self.policy(states[-1]).tanh()
                drawn.append(mean + STD * torch.randn_like(mean))
            location = drawn[-1].clamp(-1, 1)
        before = torch.stack(states, dim=1)
        mean, values = self.policy(before).tanh(), self.baseline(before)[..., 0]
        distance = (torch.stack(drawn, dim=1) - mean) / STD
        log_prob = -0.5 * distance.square().sum(dim=-1)
        logits = self.classifier(state)
        reward = (logits.argmax(dim=-1) == labels).float()[:, None]
        surrogate = -((reward - values.detach()) * log_prob).sum(dim=1).mean()
        held = (reward - values).square().mean()
        return functional.cross_entropy(logits, labels) + surrogate + held


def training_step(
    batch: int,
    side: int,
    size: int,
    glimpses: int,
    units: int,
    retina: str = "index",
    compiled: bool = False,
) -> Callable[[], float]:
    torch.manual_seed(0)
    model = GlimpseNet(size, glimpses, units, retina)
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.rand(batch, 1, side, side)
    labels = torch.randint(CLASSES, (batch,))
    loss_of = torch.compile(model) if compiled else model

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def sensor(
    batch: int, side: int, channels: int, size: int, scales: int, retina: str = "index"
) -> Callable[[], float]:
    torch.manual_seed(0)
    images = torch.rand(batch, channels, side, side)
    locations = torch.rand(batch, 2) * 2 - 1

    def step() -> float:
        with torch.inference_mode():
            return RETINAS[retina](images, locations, size, scales)[
                0, 0, 0, 0, 0
            ].item()

    return step
