"""Imports on demand: what is missing is named, and no pass of the garbage collector comes in between."""

import gc

import pytest

from deap_nn.core.environment import optional, without_collections


def test_what_is_missing_is_not_installed():
    with (
        pytest.raises(ImportError, match=r"^no_such is not installed: pip install .* '\.\[mlflow\]'$"),
        optional("mlflow"),
    ):
        import no_such  # noqa: F401  (it is not there)


def test_an_error_of_an_installed_package_is_its_own():
    with pytest.raises(ImportError, match=r"^libGL\.so\.1: cannot open shared object file$"), optional("mlflow"):
        raise ImportError("libGL.so.1: cannot open shared object file")


@pytest.fixture
def passes():
    """The number of objects' generations of each collection so far; the collector is on, as usual."""
    assert gc.isenabled()
    gc.collect()
    noted = []
    gc.callbacks.append(noting := lambda phase, info: noted.append(info["generation"]) if phase == "start" else None)
    yield noted
    gc.callbacks.remove(noting)
    gc.unfreeze()
    gc.enable()


def objects():
    return [[] for _ in range(2 * len(gc.get_objects()))]


def test_objects_of_the_body_cause_no_full_collection(passes):
    made = objects()
    assert 2 in passes  # usually they do
    passes.clear()
    with without_collections():
        more = objects()
        assert not gc.isenabled()
        assert passes == []
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    later = [[] for _ in range(20_000)]
    assert passes
    assert 2 not in passes
    old = {id(each) for each in gc.get_objects(generation=2)}
    assert {id(each) for each in more} <= old
    assert len(made) > len(later)


def test_garbage_of_the_body_is_collected_later(passes):
    class Kept:
        alive = 0

        def __del__(self):
            Kept.alive -= 1

    with without_collections():
        for _ in range(100):
            circle = Kept()
            circle.itself = circle
            Kept.alive += 1
        del circle
    assert Kept.alive == 100
    gc.collect()
    assert Kept.alive == 0


def test_after_an_error_the_collector_is_on_again(passes):
    with pytest.raises(ImportError), without_collections():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off(passes):
    gc.disable()
    with without_collections():
        pass
    assert not gc.isenabled()


def test_what_a_program_has_frozen_stays_frozen(passes):
    mine = [[]]
    gc.freeze()
    with without_collections():
        assert gc.isenabled()
    assert all(each is not mine for each in gc.get_objects())  # which are those that are not frozen
    gc.unfreeze()
    assert any(each is mine for each in gc.get_objects())


PASSES = """
import gc
passes = []
gc.callbacks.append(lambda phase, info: passes.append(info["generation"]) if phase == "start" else None)
import deap_nn.models.tensorflow
import deap_nn.operators.compiled.crossing
print(passes.count(2))
"""


def test_no_full_collection_comes_while_tensorflow_and_numba_are_imported(run):
    answer = run("-c", PASSES)
    assert (answer.returncode, answer.stdout) == (0, "0\n"), answer.stderr
