"""Which step comes next keeps some version available."""

import pytest

from keras_attn.serving.server.config import VersionPolicy
from keras_attn.serving.server.transitions import State, next_step

START, AVAILABLE, END = State.START, State.AVAILABLE, State.END


@pytest.mark.parametrize(
    ("states", "aspired", "step"),
    [
        ({}, set(), None),
        ({1: START}, {1}, ("load", 1)),
        ({1: START, 2: START}, {1, 2}, ("load", 2)),
        ({1: AVAILABLE, 2: START}, {2}, ("load", 2)),
        ({1: AVAILABLE, 2: State.LOADING}, {2}, None),
        ({1: AVAILABLE, 2: AVAILABLE}, {2}, ("unload", 1)),
        ({1: AVAILABLE, 2: END}, {2}, None),  # 2 failed: 1 stays
        ({1: AVAILABLE, 2: AVAILABLE, 3: START}, {3}, ("unload", 1)),
        ({1: AVAILABLE}, set(), ("unload", 1)),
        ({1: AVAILABLE, 2: AVAILABLE}, {1, 2}, None),
    ],
)
def test_next_step(states, aspired, step):
    assert next_step(states, aspired) == step


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (VersionPolicy(), {9}),
        (VersionPolicy(latest=2), {5, 9}),
        (VersionPolicy(every=True), {1, 5, 9}),
        (VersionPolicy(specific=frozenset({1, 7})), {1}),
    ],
)
def test_policy_chooses(policy, chosen):
    assert policy.choose([1, 5, 9]) == chosen
