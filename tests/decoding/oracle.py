"""Searches in plain Python, as slow as their definitions, on a model that remembers."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from keras import ops

START, END = 2, 1
SLOTS = 3
STEPS, CODES_OF_A_STEP = 16, 11


class Toy:
    """A step whose logits depend on the row and on all tokens that were written.

    The state is a number made of these tokens, so that a beam which is moved without
    its state goes wrong. Each step has numbers of its own: no two hypotheses are the
    same terms in another order, a tie which rounding would decide. It attends to one
    of `SLOTS` slots, more or less.
    """

    def __init__(self, rng, rows, ids, scale=2.0):
        self.rows, self.ids = rows, ids
        self.codes = CODES_OF_A_STEP * STEPS
        places = (rows, self.codes)
        self.logits = scale * rng.normal(size=(*places, ids)).astype("float32")
        self.attention = rng.dirichlet(np.ones(SLOTS), places).astype("float32")

    def next_code(self, code, token):
        step = (code // CODES_OF_A_STEP + 1) % STEPS
        return CODES_OF_A_STEP * step + (3 * code + token + 1) % CODES_OF_A_STEP

    def arguments(self, max_length):
        """The first arguments of every search."""
        rows = ops.arange(self.rows, dtype="int32")
        logits = ops.convert_to_tensor(self.logits.reshape(-1, self.ids))
        attention = ops.convert_to_tensor(self.attention.reshape(-1, SLOTS))

        def step(tokens, states):
            code = self.next_code(states["code"][0], tokens)
            place = states["row"] * self.codes + code
            emitted = {
                "attention_scores": ops.take(attention, place, axis=0),
                "read": tokens,
            }
            states = {"row": states["row"], "code": [code], "steps": states["steps"]}
            return ops.take(logits, place, axis=0), states, emitted

        states = {
            "row": rows,
            "code": [ops.zeros_like(rows)],
            "steps": ops.zeros((), "int32"),
        }
        emitted = {
            "attention_scores": ops.zeros((self.rows, SLOTS)),
            "read": rows,
        }
        return step, states, emitted, START, END, max_length

    def follow(self, row, tokens):
        """Log-probability, and what is emitted, of a hypothesis."""
        code, last, total, attention = 0, START, 0.0, []
        for token in tokens:
            code = self.next_code(code, last)
            total += self.scores(row, code)[token]
            attention.append(self.attention[row, code])
            last = token
        return total, np.array(attention).reshape(-1, SLOTS)

    def scores(self, row, code):
        logits = self.logits[row, code].astype("float64")
        return logits - np.log(np.exp(logits).sum())


class Options(NamedTuple):
    max_length: int
    beam_width: int
    n_best: int = 1
    min_length: int = 0
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    num_groups: int = 1
    diversity: float = 0.0


class Found(NamedTuple):
    score: float
    total: float
    tokens: tuple


def rank(toy, row, tokens, options, mask=None):
    total, attention = toy.follow(row, tokens)
    score = total / ((5 + len(tokens)) / 6) ** options.length_penalty
    if options.coverage_penalty:
        coverage = np.minimum(attention.sum(axis=0), 1.0)
        kept = coverage if mask is None else coverage[mask[row]]
        score += options.coverage_penalty * sum(math.log(each) for each in kept)
    return Found(score, total, tuple(tokens))


def is_allowed(tokens, options):
    return tokens[-1] != END or len(tokens) >= options.min_length


def best_of_all(toy, row, options, mask=None):
    """Every hypothesis there is, the finished before the unfinished, best first."""
    going_on = [token for token in range(1, toy.ids) if token != END]
    finished = [
        (*begin, END)
        for length in range(max(1, options.min_length), options.max_length + 1)
        for begin in itertools.product(going_on, repeat=length - 1)
    ]
    unfinished = list(itertools.product(going_on, repeat=options.max_length))
    return [
        found
        for part in (finished, unfinished)
        for found in sorted(
            (rank(toy, row, tokens, options, mask) for tokens in part), reverse=True
        )
    ]


def beam(toy, row, options, mask=None):
    """The search as its docstring says it, without an early stop."""
    width = options.beam_width // options.num_groups
    groups = [[()] for _ in range(options.num_groups)]
    pools = [[] for _ in groups]
    for _ in range(options.max_length):
        chosen_before = []
        for index, group in enumerate(groups):
            candidates = []
            for begin in group:
                for token in range(1, toy.ids):
                    tokens = (*begin, token)
                    if is_allowed(tokens, options):
                        cost = options.diversity * chosen_before.count(token)
                        total, _ = toy.follow(row, tokens)
                        candidates.append((total - cost, tokens))
            candidates.sort(reverse=True)
            ended = [t for _, t in candidates[:width] if t[-1] == END]
            pools[index] += [rank(toy, row, t, options, mask) for t in ended]
            groups[index] = [t for _, t in candidates if t[-1] != END][:width]
            chosen_before += [tokens[-1] for tokens in groups[index] + ended]
    size = min(options.n_best, width)
    finished = [each for pool in pools for each in sorted(pool, reverse=True)[:size]]
    unfinished = [
        rank(toy, row, tokens, options, mask) for group in groups for tokens in group
    ]
    return sorted(finished, reverse=True) + sorted(unfinished, reverse=True)
