"""A beam search as it is written in PyTorch, for the page `beam_search`."""

from collections.abc import Callable

import torch
from torch import nn

START = 2


class Translator(nn.Module):
    """A bidirectional GRU, and a GRU cell that reads it by additive attention."""

    def __init__(self, units: int, vocabulary: int):
        super().__init__()
        self.source = nn.Embedding(vocabulary, units)
        self.target = nn.Embedding(vocabulary, units)
        self.encoder = nn.GRU(units, units, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * units, units)
        self.query = nn.Linear(units, units)
        self.key = nn.Linear(2 * units, units, bias=False)
        self.scale = nn.Linear(units, 1, bias=False)
        self.cell = nn.GRUCell(3 * units, units)
        self.readout = nn.Linear(4 * units, units)
        self.logits = nn.Linear(units, vocabulary)

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, ...]:
        memory, last = self.encoder(self.source(source))
        state = torch.tanh(self.bridge(torch.cat([last[0], last[1]], dim=-1)))
        return memory, self.key(memory), state

    def step(
        self,
        token: torch.Tensor,
        state: torch.Tensor,
        memory: torch.Tensor,
        keys: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        embedded = self.target(token)
        hidden = torch.tanh(self.query(state)[:, None] + keys)
        weights = torch.softmax(self.scale(hidden), dim=1)
        context = torch.bmm(weights.transpose(1, 2), memory)[:, 0]
        state = self.cell(torch.cat([embedded, context], dim=-1), state)
        read = torch.cat([state, context, embedded], dim=-1)
        return self.logits(torch.tanh(self.readout(read))), state


@torch.inference_mode()
def search(
    model: Translator, source: torch.Tensor, tokens: int, width: int
) -> torch.Tensor:
    """The best of `width` beams after so many tokens, `(batch, tokens)`."""
    batch = source.shape[0]
    memory, keys, state = (
        part.repeat_interleave(width, dim=0) for part in model.encode(source)
    )
    first_beams = torch.arange(batch)[:, None] * width
    last = torch.full((batch * width,), START)
    totals = torch.full((batch, width), -torch.inf)
    totals[:, 0] = 0.0
    written = torch.empty(batch * width, 0, dtype=torch.long)
    for _ in range(tokens):
        logits, state = model.step(last, state, memory, keys)
        scores = torch.log_softmax(logits, dim=-1).view(batch, width, -1)
        candidates = (totals[..., None] + scores).view(batch, -1)
        totals, places = candidates.topk(width, dim=-1)
        ids = logits.shape[-1]
        beams = (first_beams + places // ids).view(-1)
        last = (places % ids).view(-1)
        state, written = state[beams], torch.cat([written[beams], last[:, None]], 1)
    return written.view(batch, width, -1)[:, 0]


def loop(
    batch: int, source: int, tokens: int, units: int, vocabulary: int, width: int
) -> Callable[[], torch.Tensor]:
    torch.manual_seed(0)
    model = Translator(units, vocabulary).eval()
    read = torch.randint(4, vocabulary, (batch, source))
    return lambda: search(model, read, tokens, width)
