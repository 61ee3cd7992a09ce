"""Self-attention and the encoder block as they are written in PyTorch."""

from collections.abc import Callable

import torch
from torch import nn


class SelfAttention(nn.Module):
    """One matrix for query, key and value, and the fused kernel."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        batch, time, dim = inputs.shape
        projected = self.projection(inputs).view(batch, time, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.output(read.transpose(1, 2).reshape(batch, time, dim))


def self_attention(batch: int, time: int, dim: int, heads: int) -> Callable[[], float]:
    return _train(SelfAttention(dim, heads), batch, time, dim)


def encoder_layer(batch: int, time: int, dim: int, heads: int) -> Callable[[], float]:
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, dropout=0.0, batch_first=True, norm_first=True
    )
    return _train(layer, batch, time, dim)


def forward(batch: int, time: int, dim: int, heads: int) -> Callable[[], float]:
    torch.manual_seed(0)
    layer = SelfAttention(dim, heads).eval()
    inputs = torch.randn(batch, time, dim)

    def step() -> float:
        with torch.inference_mode():
            return layer(inputs).sum().item()

    return step


def _train(module: nn.Module, batch: int, time: int, dim: int) -> Callable[[], float]:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(module.parameters())
    inputs = torch.randn(batch, time, dim)

    def step() -> float:
        optimizer.zero_grad()
        loss = module(inputs).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
