"""The decoder of the page `decoder` as it is written in PyTorch."""

from collections.abc import Callable

import torch
from torch import nn


class LoopDecoder(nn.Module):
    """A GRU cell and additive attention in a Python loop.

    Args:
        units: Width of everything.
        keys_once: Project the keys before the loop, not in each of its steps.
    """

    def __init__(self, units: int, keys_once: bool):
        super().__init__()
        self.cell = nn.GRUCell(2 * units, units)
        self.query = nn.Linear(units, units)
        self.key = nn.Linear(units, units, bias=False)
        self.scale = nn.Linear(units, 1, bias=False)
        self.keys_once = keys_once

    def forward(self, inputs: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(inputs.shape[0], self.cell.hidden_size)
        keys = self.key(memory) if self.keys_once else None
        outputs = []
        for token in inputs.unbind(dim=1):
            step_keys = self.key(memory) if keys is None else keys
            hidden = torch.tanh(self.query(state)[:, None] + step_keys)
            weights = torch.softmax(self.scale(hidden), dim=1)
            context = torch.bmm(weights.transpose(1, 2), memory)[:, 0]
            state = self.cell(torch.cat([token, context], dim=-1), state)
            outputs.append(torch.cat([state, context], dim=-1))
        return torch.stack(outputs, dim=1)


def loop_decoder(
    batch: int, source: int, target: int, units: int, keys_once: bool = True
) -> Callable[[], float]:
    torch.manual_seed(0)
    model = LoopDecoder(units, keys_once)
    optimizer = torch.optim.Adam(model.parameters())
    inputs, memory = (torch.randn(batch, time, units) for time in (target, source))

    def step() -> float:
        optimizer.zero_grad()
        loss = model(inputs, memory).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
