"""What goes wrong on disk or while loading does not reach the models that serve."""

import contextlib
import gc
import shutil
import threading
import time
import weakref

import pytest

from keras_attn.serving.server.config import ModelConfig, VersionPolicy
from keras_attn.serving.server.manager import ModelManager
from keras_attn.serving.server.pace import Pace
from keras_attn.serving.server.servable import Servable
from keras_attn.serving.server.status import StatusError, not_found
from keras_attn.serving.server.transitions import State
from keras_attn.serving.wire.messages import ModelSpec
from tests.serving.waiting import wait_for

SOON = 0.02  # seconds between looks at the folders
ALL = VersionPolicy(every=True)


class EmptyGraph:
    """A graph without signatures that knows whether it is open."""

    def __init__(self):
        self.signatures = {}
        self.is_open = True

    def close(self):
        self.is_open = False


class Versions:
    """Loads versions that are just a folder, with the faults a test wants."""

    def __init__(self):
        self.graphs = []
        self.half_loaded = []
        self.loaded = []
        self.faults = {}
        self.gates = {}

    def load(self, name, number, path):
        self.loaded.append((name, number, path.name))
        if gate := self.gates.get(name):
            gate.wait(30)
        if fault := self.faults.get(name):
            half_loaded = EmptyGraph()
            self.half_loaded.append(weakref.ref(half_loaded))
            raise fault()
        self.graphs.append(EmptyGraph())
        return Servable(name, number, self.graphs[-1])


@pytest.fixture
def versions():
    return Versions()


@pytest.fixture
def manage(versions):
    """Starts managers of these versions, and stops them."""
    with contextlib.ExitStack() as stack:

        def start(configs=None, **pace):
            manager = ModelManager(
                versions.load, Pace(**{"poll_seconds": SOON, "retries": 0, **pace})
            )
            manager.start()
            stack.callback(manager.stop)
            if configs is not None:
                manager.reload(configs, timeout=30)
            return manager

        yield start
    assert not any(graph.is_open for graph in versions.graphs)


def make_folders(base, *names):
    for name in names:
        (base / str(name)).mkdir(parents=True)
    return ModelConfig(base.name, str(base))


def answering(manager, name, number=None):
    """The version that answers, if any."""
    try:
        with manager.servable(ModelSpec(name, number)) as servable:
            return servable.version
    except StatusError as error:
        assert error.message.startswith("Servable not found for request: ")
        return None


def states(manager, name):
    found = manager.statuses(ModelSpec(name))
    return {version.number: version.state.name for version in found}


def test_versions_come_go_and_return(tmp_path, manage, versions):
    base = tmp_path / "m"
    manager = manage([make_folders(base, "00000123")])
    assert answering(manager, "m") == 123
    assert versions.loaded == [("m", 123, "00000123")]
    make_folders(base, 124)
    wait_for(lambda: states(manager, "m") == {124: "AVAILABLE", 123: "END"})
    (base / "124").rename(base / "away")
    wait_for(lambda: states(manager, "m") == {124: "END", 123: "AVAILABLE"})
    (base / "away").rename(base / "124")
    wait_for(lambda: states(manager, "m") == {124: "AVAILABLE", 123: "END"})
    shutil.rmtree(base)
    base.mkdir()
    wait_for(lambda: states(manager, "m") == {124: "END", 123: "END"})
    assert answering(manager, "m") is None
    assert list(states(manager, "m")) == [124, 123]  # still listed, the highest first
    make_folders(base, 7)
    wait_for(lambda: answering(manager, "m") == 7)


def test_what_is_strange_about_folders_is_said_once(tmp_path, manage, caplog):
    make_folders(tmp_path / "m", 7, "007", 8, "x")
    policy = VersionPolicy(specific=frozenset({7, 9}))
    manager = manage([ModelConfig("m", str(tmp_path / "m"), policy)])
    assert states(manager, "m") == {7: "AVAILABLE"}
    make_folders(tmp_path / "m", 9)
    wait_for(lambda: answering(manager, "m") == 9)
    warnings = [record.message for record in caplog.records]
    assert warnings == [
        "Duplicate version directories detected. Version 7 will be loaded from 7, 007 "
        "will be ignored.",
        "Version 9 of servable m, which was requested to be served as a 'specific' "
        "version in the servable's version policy, was not found in the file system",
    ]


@pytest.mark.parametrize("damage", ["gone", "a file", "a zero byte"])
def test_a_base_path_that_cannot_be_listed_changes_nothing(
    tmp_path, manage, caplog, damage
):
    configs = [make_folders(tmp_path / "a", 1), make_folders(tmp_path / "b", 1)]
    manager = manage(configs)
    if damage == "a zero byte":
        with pytest.raises(TimeoutError, match="null byte"):
            manager.reload([*configs, ModelConfig("c", "/c\0")], timeout=0.2)
    else:
        (tmp_path / "b").rename(tmp_path / "hidden")
        if damage == "a file":
            (tmp_path / "b").touch()
    wait_for(lambda: "Could not find base path" in caplog.text)
    make_folders(tmp_path / "a", 2)
    time.sleep(10 * SOON)
    assert (answering(manager, "a"), answering(manager, "b")) == (1, 1)
    assert caplog.text.count("Could not find base path") == 1
    if damage == "a zero byte":
        manager.reload(configs)
    else:
        (tmp_path / "b").unlink(missing_ok=True)
        (tmp_path / "hidden").rename(tmp_path / "b")
    wait_for(lambda: answering(manager, "a") == 2)


@pytest.mark.parametrize(
    "fault", [lambda: ValueError("odd"), MemoryError, lambda: KeyError("k")]
)
def test_a_load_may_raise_anything(tmp_path, manage, versions, fault):
    manager = manage([make_folders(tmp_path / "good", 1)])
    versions.faults["bad"] = fault
    bad = make_folders(tmp_path / "bad", 1)
    good = ModelConfig("good", str(tmp_path / "good"))
    with pytest.raises(StatusError) as caught:
        manager.reload([good, bad], timeout=30)
    text = f"INTERNAL: {type(fault()).__name__}: {fault()}"
    assert caught.value.message == (
        "1 model(s) did not become available: {{{name: bad version: 1} due to error: "
        f"{text}}}, }}"
    )
    (failed,) = manager.statuses(ModelSpec("bad"))
    assert (failed.state, str(failed.error)) == (State.END, text)
    make_folders(tmp_path / "good", 2)
    wait_for(lambda: answering(manager, "good") == 2)


def test_an_error_keeps_nothing_of_the_load_alive(tmp_path, manage, versions):
    manager = manage([make_folders(tmp_path / "m", 1)])
    versions.faults["m"] = lambda: not_found("no graph")
    make_folders(tmp_path / "m", 2)
    wait_for(lambda: states(manager, "m").get(2) == "END")
    gc.collect()
    assert [graph() for graph in versions.half_loaded] == [None]
    assert manager.statuses(ModelSpec("m", 2))[0].error.message == "no graph"


def test_a_version_is_tried_again_and_given_up(tmp_path, manage, versions):
    versions.faults["bad"] = lambda: not_found("no graph")
    make_folders(tmp_path / "bad", 1, 2)
    bad = ModelConfig("bad", str(tmp_path / "bad"), ALL)
    with pytest.raises(StatusError, match=r"servable\(s\) did not become") as caught:
        manage([bad], retries=3, retry_seconds=0.01)
    assert "{name: bad version: 2} due to error: NOT_FOUND: no" in caught.value.message
    tries = [number for _, number, _ in versions.loaded]
    assert sorted(tries) == [1] * 4 + [2] * 4


def test_a_version_given_up_gets_a_fresh_start_when_it_returns(
    tmp_path, manage, versions
):
    config = make_folders(tmp_path / "m", 1)
    manager = manage([config])
    versions.faults["m"] = lambda: not_found("half written")
    make_folders(tmp_path / "m", 2)
    wait_for(lambda: states(manager, "m") == {2: "END", 1: "AVAILABLE"})
    del versions.faults["m"]
    time.sleep(5 * SOON)
    assert states(manager, "m") == {2: "END", 1: "AVAILABLE"}  # given up for good
    (tmp_path / "m" / "2").rename(tmp_path / "2")
    time.sleep(5 * SOON)
    (tmp_path / "2").rename(tmp_path / "m" / "2")
    wait_for(lambda: answering(manager, "m") == 2)


@pytest.mark.parametrize("load_threads", [0, 1])
def test_waiting_for_a_retry_holds_up_nobody(tmp_path, manage, versions, load_threads):
    good = make_folders(tmp_path / "good", 1)
    manager = manage([good], retries=5, retry_seconds=3600, load_threads=load_threads)
    versions.faults["bad"] = lambda: not_found("no graph")
    bad = make_folders(tmp_path / "bad", 1)
    with pytest.raises(TimeoutError, match="version: 1} due to error: NOT_FOUND: no"):
        manager.reload([good, bad], timeout=0.2)
    assert states(manager, "bad") == {1: "LOADING"}
    make_folders(tmp_path / "good", 2)
    wait_for(lambda: states(manager, "good") == {2: "AVAILABLE", 1: "END"})
    manager.reload([good])
    wait_for(lambda: states(manager, "bad") == {1: "END"})  # no longer waited for


def test_a_slow_load_holds_up_nobody_where_there_are_threads(
    tmp_path, manage, versions
):
    configs = [make_folders(tmp_path / name, 1) for name in ("slow", "quick")]
    manager = manage(configs, load_threads=2)
    gate = versions.gates["slow"] = threading.Event()
    make_folders(tmp_path / "slow", 2)
    wait_for(lambda: states(manager, "slow").get(2) == "LOADING")
    make_folders(tmp_path / "quick", 2)
    wait_for(lambda: states(manager, "quick") == {2: "AVAILABLE", 1: "END"})
    assert answering(manager, "slow") == 1
    gate.set()
    wait_for(lambda: states(manager, "slow") == {2: "AVAILABLE", 1: "END"})


def test_the_first_models_load_side_by_side(tmp_path, manage, versions):
    names = "abc"
    gates = [versions.gates.setdefault(name, threading.Event()) for name in names]
    configs = [make_folders(tmp_path / name, 1) for name in names]
    manager = manage()
    starting = threading.Thread(target=manager.reload, args=[configs])
    starting.start()
    wait_for(lambda: len(versions.loaded) == len(names))
    assert [answering(manager, name) for name in names] == [None] * len(names)
    for gate in gates:
        gate.set()
    starting.join()
    assert [answering(manager, name) for name in names] == [1] * len(names)


def test_a_version_that_vanishes_while_it_loads(tmp_path, manage, versions):
    config = make_folders(tmp_path / "m", 1)
    manager = manage([config], load_threads=1)
    gate = versions.gates["m"] = threading.Event()
    make_folders(tmp_path / "m", 2)
    wait_for(lambda: states(manager, "m").get(2) == "LOADING")
    (tmp_path / "m" / "2").rmdir()
    time.sleep(5 * SOON)
    gate.set()
    wait_for(lambda: states(manager, "m") == {2: "END", 1: "AVAILABLE"})
    assert [graph.is_open for graph in versions.graphs] == [True, False]
    assert answering(manager, "m") == 1


@pytest.mark.parametrize("unload_threads", [0, 2])
def test_unloading_waits_for_requests(tmp_path, manage, versions, unload_threads):
    config = make_folders(tmp_path / "m", 1)
    manager = manage([config], unload_threads=unload_threads)
    with manager.servable(ModelSpec("m")) as old:
        make_folders(tmp_path / "m", 2)
        wait_for(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "UNLOADING"})
        time.sleep(5 * SOON)
        assert versions.graphs[0].is_open
        assert (old.version, answering(manager, "m")) == (1, 2)
        assert answering(manager, "m", 1) is None  # no new request
        make_folders(tmp_path / "m", 3)
        wait_for(lambda: answering(manager, "m") == 3)  # nobody waits meanwhile
    wait_for(lambda: states(manager, "m") == {3: "AVAILABLE", 2: "END", 1: "END"})
    assert [graph.is_open for graph in versions.graphs] == [False, False, True]


def test_a_version_is_closed_when_its_last_request_ends(tmp_path, manage, versions):
    manager = manage([make_folders(tmp_path / "m", 1)], poll_seconds=0)
    with manager.servable(ModelSpec("m")), manager.servable(ModelSpec("m")):
        manager.reload([])
        wait_for(lambda: states(manager, "m") == {1: "UNLOADING"})
        assert versions.graphs[0].is_open
    wait_for(lambda: not versions.graphs[0].is_open)


def test_a_model_that_returns_while_it_unloads(tmp_path, manage, versions):
    config = make_folders(tmp_path / "m", 1)
    manager = manage([config])
    with manager.servable(ModelSpec("m")):
        manager.reload([])
        wait_for(lambda: states(manager, "m") == {1: "UNLOADING"})
        with pytest.raises(TimeoutError, match="Loading takes longer"):
            manager.reload([config], timeout=0.2)
    wait_for(lambda: answering(manager, "m") == 1)
    assert [graph.is_open for graph in versions.graphs] == [False, True]


def test_the_server_starts_once_every_version_had_its_chance(
    tmp_path, manage, versions
):
    make_folders(tmp_path / "m", *range(1, 9))
    manager = manage([ModelConfig("m", str(tmp_path / "m"), ALL)])
    assert set(states(manager, "m").values()) == {"AVAILABLE"}
    assert len(states(manager, "m")) == 8


def test_a_missing_base_path_is_waited_for(tmp_path, manage):
    manager = manage()
    config = ModelConfig("m", str(tmp_path / "m"))
    with pytest.raises(TimeoutError, match="Could not find base path"):
        manager.reload([config], timeout=0.1)
    make_folders(tmp_path / "m", 1)
    wait_for(lambda: answering(manager, "m") == 1)


def test_folders_are_looked_at_once_or_never(tmp_path, manage):
    config = make_folders(tmp_path / "m", 1)
    manager = manage([config], poll_seconds=0)
    make_folders(tmp_path / "m", 2)
    time.sleep(0.3)
    assert states(manager, "m") == {1: "AVAILABLE"}
    manager.reload([config])
    time.sleep(0.3)
    assert states(manager, "m") == {1: "AVAILABLE"}  # the same again
    manager.reload([config, make_folders(tmp_path / "n", 1)], timeout=30)
    assert answering(manager, "n") == 1
    never = manage(poll_seconds=-1)
    with pytest.raises(TimeoutError, match="Loading takes longer"):
        never.reload([config], timeout=0.3)
    with pytest.raises(StatusError, match="Could not find any versions of model m"):
        states(never, "m")


def test_two_reloads_take_their_turns(tmp_path, manage):
    manager = manage()
    config = make_folders(tmp_path / "late")
    (tmp_path / "late").mkdir()
    waiting = threading.Thread(target=manager.reload, args=[[config]])
    waiting.start()
    wait_for(lambda: manager._reloading.locked())
    with pytest.raises(TimeoutError, match="Another configuration"):
        manager.reload([], timeout=0.1)
    make_folders(tmp_path / "late", 1)
    waiting.join()
    manager.reload([], timeout=30)
    wait_for(lambda: states(manager, "late") == {1: "END"})


def test_a_stop_ends_the_wait_for_a_model(tmp_path, manage):
    manager = manage()
    (tmp_path / "late").mkdir()
    caught = []

    def reload():
        try:
            manager.reload([ModelConfig("late", str(tmp_path / "late"))])
        except StatusError as error:
            caught.append(error)

    waiting = threading.Thread(target=reload)
    waiting.start()
    wait_for(lambda: manager._reloading.locked())
    manager.stop()
    waiting.join(10)
    assert [error.code.name for error in caught] == ["CANCELLED"]


def test_a_request_does_not_look_through_the_versions(tmp_path, manage):
    """Finding one among 1,000 that serve takes no longer than among 3."""

    def seconds(count):
        base = tmp_path / str(count)
        config = ModelConfig("m", str(base), ALL)
        make_folders(base, *range(count))
        manager = manage([config], poll_seconds=0, load_threads=4)
        spec = ModelSpec("m")
        rounds = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(100):
                with manager.servable(spec):
                    pass
            rounds.append(time.perf_counter() - start)
        return min(rounds)

    assert seconds(1000) < 5 * seconds(3)
