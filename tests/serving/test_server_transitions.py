"""Whatever happens to folders, loads and requests, some version keeps answering."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from keras_attn.serving.server.config import ModelConfig, VersionPolicy
from keras_attn.serving.server.labels import assign_labels
from keras_attn.serving.server.model import Model
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError, not_found
from keras_attn.serving.server.transitions import State, next_step
from keras_attn.serving.server.version_folders import index_versions

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
        (VersionPolicy(latest=7), {1, 5, 9}),
        (VersionPolicy(every=True), {1, 5, 9}),
        (VersionPolicy(specific=frozenset({1, 7})), {1}),
        (VersionPolicy(specific=frozenset()), set()),
    ],
)
def test_policy_chooses(policy, chosen):
    assert policy.choose([1, 5, 9]) == chosen


@given(st.sets(st.integers(0, 99)), st.integers(1, 9))
def test_the_latest_are_the_highest(versions, latest):
    chosen = VersionPolicy(latest=latest).choose(versions)
    assert chosen <= versions
    assert len(chosen) == min(latest, len(versions))
    assert max(versions - chosen, default=-1) < min(chosen, default=0)


def test_folders_are_numbers():
    names = ["1", "00000123", "12x", "-4", "٣", "1_0", " 7", "", "9223372036854775808"]
    assert index_versions([*names, "9223372036854775807"]) == (
        {1: "1", 123: "00000123", 2**63 - 1: "9223372036854775807"},
        [],
    )


@given(st.permutations(["7", "07", "007", "8"]))
def test_of_several_names_of_a_number_the_last_counts(names):
    folders, remarks = index_versions(names)
    assert folders == {7: "7", 8: "8"}
    assert len(remarks) == 2
    assert all("Version 7 will be loaded from" in remark for remark in remarks)


LABELS = st.dictionaries(st.sampled_from(["stable", "canary"]), st.integers(1, 3))
SERVING = st.sets(st.integers(1, 3))


@given(LABELS, LABELS, SERVING, st.booleans())
def test_labels_point_to_what_serves_or_to_what_they_did(
    before, wanted, serving, also_unavailable
):
    configs = [ModelConfig("m", "/m", labels=wanted)]

    def assign():
        return assign_labels(
            configs, {"m": before}, lambda _, v: v in serving, also_unavailable
        )

    refused = {
        label
        for label, version in wanted.items()
        if version not in serving
        and not (also_unavailable and before.get(label, version) == version)
    }
    if not refused:
        assert assign() == {"m": wanted}
        return
    text = r"Request to assign label to version \d of model m, which is not currently"
    with pytest.raises(StatusError, match=text) as caught:
        assign()
    assert caught.value.code.name == "FAILED_PRECONDITION"


class Answer:
    """A graph that counts how often it is closed."""

    signatures: dict = {}  # noqa: RUF012

    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


VERSIONS = st.sets(st.integers(1, 5))
RETRIES = 1


class ModelLife(RuleBasedStateMachine):
    """Folders come and go while loads end in any order and requests run on."""

    def __init__(self):
        super().__init__()
        self.model = Model("m")
        self.now = 0.0
        self.at_work = []
        self.requests = []
        self.graphs = []
        self.must_answer = False

    def find_tasks(self):
        while task := self.model.next_task(self.now):
            if task.kind == "unload":
                assert not task.version.in_flight
            self.at_work.append(task)

    @rule(versions=VERSIONS)
    def folders_change(self, versions):
        self.model.aspire({number: Path(f"/m/{number}") for number in versions})
        self.must_answer &= bool(versions)
        self.find_tasks()

    @precondition(lambda self: self.at_work)
    @rule(data=st.data(), fails=st.booleans())
    def work_ends(self, data, fails):
        index = data.draw(st.integers(0, len(self.at_work) - 1))
        kind, version = self.at_work.pop(index)
        if kind == "unload":
            version.servable.close()
            self.model.has_unloaded(version)
        elif fails:
            self.model.has_failed(version, not_found("no"), RETRIES, self.now + 60)
            is_retried = version.state == State.LOADING
            assert not is_retried or version.number in self.model.aspired
        else:
            self.graphs.append(Answer())
            servable = Servable("m", version.number, self.graphs[-1])
            self.model.has_loaded(version, servable)
            self.must_answer |= bool(self.model.aspired)
        self.find_tasks()

    @precondition(lambda self: self.model.newest)
    @rule()
    def request_begins(self):
        self.model.newest.in_flight += 1
        self.requests.append(self.model.newest)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def request_ends(self, data):
        index = data.draw(st.integers(0, len(self.requests) - 1))
        self.requests.pop(index).in_flight -= 1
        self.find_tasks()

    @rule()
    def time_passes(self):
        if self.model.next_retry() < math.inf:
            self.now = max(self.now, self.model.next_retry())
        self.find_tasks()

    @invariant()
    def some_version_answers(self):
        assert not self.must_answer or self.model.newest

    @invariant()
    def the_highest_that_serves_is_found(self):
        serving = [
            version
            for version in self.model.versions.values()
            if version.state == AVAILABLE
        ]
        assert {self.model.find(version.number) for version in serving} == set(serving)
        highest = max(serving, key=lambda version: version.number, default=None)
        assert self.model.find(None) is highest

    @invariant()
    def what_answers_is_open_and_what_ended_is_closed(self):
        kept = {
            id(version.servable._graph)
            for version in self.model.versions.values()
            if version.servable
        }
        for graph in self.graphs:
            assert graph.closed == (0 if id(graph) in kept else 1)
        assert all(version.servable for version in self.requests)

    def teardown(self):
        """Left in peace, it ends with just the versions that it should have."""
        for version in self.requests:
            version.in_flight -= 1
        self.find_tasks()
        for _ in range(50):
            self.time_passes()
            for kind, version in self.at_work:
                if kind == "unload":
                    self.model.has_unloaded(version)
                else:
                    servable = Servable("m", version.number, Answer())
                    self.model.has_loaded(version, servable)
            self.at_work.clear()
        aspired = set(self.model.aspired)
        states = {n: version.state for n, version in self.model.versions.items()}
        given_up = {n for n, v in self.model.versions.items() if v.given_up}
        assert given_up <= aspired
        serving = {number for number, state in states.items() if state == AVAILABLE}
        expected = aspired - given_up
        assert serving == expected or (not expected and len(serving) <= 1)
        assert set(states.values()) <= {AVAILABLE, END}
        assert self.model.next_retry() == math.inf
        assert self.model.is_settled() == bool(aspired)


ModelLife.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
test_model_life = ModelLife.TestCase
