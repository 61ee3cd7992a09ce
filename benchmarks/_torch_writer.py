"""A decoder-only model with a cache as it is written in PyTorch."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first_norm, self.second_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.projection = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.widen, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor, cache: torch.Tensor, start: int) -> torch.Tensor:
        batch, steps, dim = x.shape
        projected = self.projection(self.first_norm(x))
        query, *heads = projected.view(batch, steps, 3, self.heads, -1).permute(
            2, 0, 3, 1, 4
        )
        cache[:, :, :, start : start + steps] = torch.stack(heads)
        key, value = cache[:, :, :, : start + steps]
        # One new step sees all of the cache; a prompt is read from its start on.
        read = functional.scaled_dot_product_attention(
            query, key, value, is_causal=steps > 1
        )
        x = x + self.output(read.transpose(1, 2).reshape(batch, steps, dim))
        hidden = functional.gelu(self.widen(self.second_norm(x)), approximate="tanh")
        return x + self.narrow(hidden)


class Decoder(nn.Module):
    def __init__(self, vocabulary: int, length: int, layers: int, dim: int, heads: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(length, dim)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(layers)])
        self.norm, self.logits = nn.LayerNorm(dim), nn.Linear(dim, vocabulary)

    def forward(
        self, tokens: torch.Tensor, caches: torch.Tensor, start: int
    ) -> torch.Tensor:
        where = torch.arange(start, start + tokens.shape[1])
        x = self.embedding(tokens) + self.positions(where)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache, start)
        return self.logits(self.norm(x[:, -1]))


def cached(
    batch: int,
    prompt: int,
    tokens: int,
    layers: int,
    dim: int,
    heads: int,
    vocabulary: int,
) -> Callable[[], torch.Tensor]:
    torch.manual_seed(0)
    length = prompt + tokens
    model = Decoder(vocabulary, length, layers, dim, heads).eval()
    given = torch.randint(2, vocabulary, (batch, prompt))

    @torch.inference_mode()
    def step() -> torch.Tensor:
        caches = torch.empty(layers, 2, batch, heads, length, dim // heads)
        written = [given]
        for start in (0, *range(prompt, length - 1)):
            best = model(written[-1], caches, start)[:, 1:].argmax(-1, keepdim=True)
            written.append(best + 1)
        return torch.cat(written, dim=1)

    return step
