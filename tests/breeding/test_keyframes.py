"""Keyframes: weights on disk, so that neither memory nor resuming goes back to the seeds."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from own_callbacks import Count, Stop
from wirings import LAYOUT, WIRINGS, OtherHost, evolve_toolbox, logged, wired

from deap_nn import Callback, Checkpoint, selRankBoosted
from deap_nn.algorithms import resuming
from deap_nn.breeding import lineage
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.keyframes import MAGIC, Keyframe, KeyframeError, write_keyframe
from deap_nn.runs.checkpoint import keyframes_in


class Best(Callback):
    """A callback that keeps a member whose weights it will ask for."""

    def __init__(self):
        self.best = None

    def on_generation(self, evolution):
        if self.best is None or evolution.best.fitness > self.best.fitness:
            self.best = evolution.best
            self.weights = self.best.flat.copy()

    def members(self):
        return () if self.best is None else (self.best,)

    def state(self):
        return {} if self.best is None else {"place": [self.best.recipe.generation, self.best.recipe.place]}

    def restore(self, evolution, states):
        if states[-1]:
            self.best = evolution.member(*states[-1]["place"])
            self.best.fitness.values = (evolution.logbook[states[-1]["place"][0]]["min"],)
            self.weights = self.best.flat.copy()


def evolved(folder, *, ngen=12, stop=None, seconds=0.0, registered=dict, n=12, **options):
    toolbox, checkpoint, best = wired(**registered()), Checkpoint(folder), Best()
    callbacks = [Count(), best, *([Stop(stop)] if stop is not None else [])]
    arguments = {"seed": 1, "callbacks": callbacks, "checkpoint": checkpoint, "keyframe_weights": seconds, **options}
    try:
        return logged(*evolve_toolbox(toolbox, n=n, ngen=ngen, **arguments)), best.weights
    except KeyboardInterrupt:
        return None
    finally:
        checkpoint.close()


@pytest.mark.parametrize("registered", WIRINGS.values(), ids=WIRINGS)
def test_a_run_with_keyframes_resumes_to_the_same_bytes(tmp_path, registered):
    expected = evolved(tmp_path / "whole", seconds=None, registered=registered)
    assert keyframes_in(tmp_path / "whole" / "checkpoint") == []
    for stops in ((3, 7), (0, 1), (11,), (12,)):
        folder = tmp_path / str(stops)
        for stop in stops:
            assert evolved(folder, stop=stop, registered=registered) is None
        found = evolved(folder, registered=registered)
        assert found[0] == expected[0]
        assert np.array_equal(found[1], expected[1])


def earliest_bred(monkeypatch, folder, **options):
    """Resume a run, and return the first generation that it breeds."""
    bred, breed = [], Genomes._breed_with
    monkeypatch.setattr(Genomes, "_breed_with", lambda self, *given: bred.extend(given[1]) or breed(self, *given))
    evolved(folder, **options)
    return min(recipe.generation for recipe in bred if recipe.parents)


def test_only_the_newest_is_kept_and_goes_back_no_further(tmp_path, monkeypatch):
    evolved(tmp_path, stop=9)
    (path,) = keyframes_in(tmp_path)
    assert path.name == "keyframe-8"
    generation_8 = [key for key in Keyframe(path)._genomes if key >> 32 == 7]
    assert 0 < len(generation_8) <= 6  # the parents of generation 8
    assert earliest_bred(monkeypatch, tmp_path) == 8


def test_without_keyframes_it_goes_back_to_the_seeds(tmp_path, monkeypatch):
    evolved(tmp_path, stop=9, seconds=None)
    assert earliest_bred(monkeypatch, tmp_path, seconds=None) == 1


def test_no_more_than_the_space_is_taken(tmp_path):
    evolved(tmp_path, keyframe_bytes=100)
    assert keyframes_in(tmp_path) == []


def test_many_recipes_call_for_one_too(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "KEYFRAME_RECIPES", 20)
    evolved(tmp_path, seconds=1e6)
    assert len(keyframes_in(tmp_path)) == 1


def test_parents_that_stay_known_call_for_none(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "KEYFRAME_RECIPES", 8)  # 6 parents stay known, and 6 are added in a generation
    written = []
    monkeypatch.setattr(lineage, "write_keyframe", lambda *given: written.append(given[1]) or write_keyframe(*given))
    evolved(tmp_path, seconds=1e6)
    assert 0 < len(written) <= 6


def test_a_keyframe_of_another_run_is_not_used(tmp_path):
    for folder, pressure in (("one", 1.2), ("other", 1.9)):
        evolved(tmp_path / folder, stop=9, registered=lambda pressure=pressure: pressed(pressure))
    expected = evolved(tmp_path / "whole", seconds=None, registered=lambda: pressed(1.2))
    (path,) = keyframes_in(tmp_path / "other")
    shutil.copy(path, tmp_path / "one" / path.name)
    found = evolved(tmp_path / "one", registered=lambda: pressed(1.2))
    assert found[0] == expected[0]


def pressed(pressure):
    return {"select": partial(selRankBoosted, parents=6, pressure=pressure)}


@pytest.mark.parametrize("damage", ["torn", "of another kind", "a genome"])
def test_a_damaged_keyframe_is_said_and_not_used(tmp_path, damage):
    expected = evolved(tmp_path / "whole", seconds=None)
    evolved(tmp_path, stop=9)
    (path,) = keyframes_in(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "torn":
        path.write_bytes(content[:-1])
    elif damage == "of another kind":
        path.write_bytes(b"x" + content)
    else:
        for place in range(len(Keyframe(path)._genomes)):  # its head does not say so, only each genome's digest does
            content[-4 * LAYOUT.size * (place + 1)] ^= 1
        path.write_bytes(content)
    if damage == "a genome":
        found = evolved(tmp_path)
    else:
        with pytest.warns(UserWarning, match="the keyframe is not used"):
            found = evolved(tmp_path)
    assert found[0] == expected[0]


def test_a_keyframe_that_a_checkpoint_does_not_reach_is_not_used(tmp_path):
    expected = evolved(tmp_path / "whole", seconds=None)
    evolved(tmp_path, stop=4, seconds=None)
    shutil.copy(tmp_path / "generations", tmp_path / "short")
    evolved(tmp_path, stop=9)
    shutil.move(tmp_path / "short", tmp_path / "generations")
    assert evolved(tmp_path)[0] == expected[0]


def test_lineage_in_tasks_goes_back_to_the_keyframe_which_a_host_without_it_is_sent(tmp_path):
    known, contents, host = [], [], tmp_path / "host"

    def elsewhere(function, tasks):
        """Do every second task as a new process of a host would that has no cache and sees no file of ours."""
        for number, task in enumerate(tasks):
            contents.append(task.content)
            if number % 2:
                yield function(task)
                continue
            known.extend(recipe.generation for recipe in task.known.values())
            path = str(Path("/nowhere", Path(task.keyframe).name)) if task.keyframe else None
            other = OtherHost(host, [])
            yield from other(function, [task._replace(keyframe=path)])
            other.forget()

    for folder in ("host", "run", "whole"):
        (tmp_path / folder).mkdir()
    expected = evolved(tmp_path / "whole", seconds=None, ngen=6)
    found = evolved(tmp_path / "run", ngen=6, registered=lambda: {"map": elsewhere}, group_size=4)
    assert found[0] == expected[0]
    (path,) = keyframes_in(tmp_path / "run")
    assert path.read_bytes() not in contents  # it is made after the last tasks
    sent = [content for content in contents if content is not None]
    assert 0 < len(sent) < len(contents) / 2
    assert list(host.iterdir()) == []


def test_files_are_read_right_or_refused(tmp_path):
    path = tmp_path / "keyframe-3"
    weights = {7: np.arange(5, dtype=np.float32), 9: np.full(5, -1.5, np.float32)}
    write_keyframe(path, 3, "a run", [7, 9], weights.__getitem__)
    keyframe = Keyframe(path)
    assert (keyframe.generation, keyframe.history) == (3, "a run")
    assert [keyframe.find(key).tolist() for key in (7, 9)] == [weights[7].tolist(), weights[9].tolist()]
    assert keyframe.find(8) is None
    assert keyframe.find(7) is keyframe.find(7)
    content = path.read_bytes()
    for size in [*range(0, 300, 7), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(KeyframeError):
            Keyframe(path)
    for place in range(0, content.index(b"\0" * 50), 3):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(KeyframeError, match=r"keyframe of this version|damaged|another size"):
            Keyframe(path)
    assert content.startswith(MAGIC)


def test_a_process_does_not_take_the_keyframe_of_another_run(tmp_path):
    genomes, path = Genomes(SimpleNamespace(shapes=((3,),)), "run", tmp_path), tmp_path / "keyframe-1"
    write_keyframe(path, 1, "a run", [7], lambda key: np.ones(3, np.float32))
    for history in ("another run", "a run"):
        genomes.use_keyframe(path, history)
        assert genomes.in_keyframe(7) == (history == "a run")
    genomes.cache.remove()


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    def fail(key):
        if key == 2:
            raise OSError("no room")
        return np.ones(3, np.float32)

    for keys in ([2], [1, 2]):
        with pytest.raises(OSError, match="no room"):
            write_keyframe(tmp_path / "keyframe-1", 1, "a run", keys, fail)
    assert list(tmp_path.iterdir()) == []
    write_keyframe(tmp_path / "keyframe-1", 1, "a run", [], fail)
    assert Keyframe(tmp_path / "keyframe-1").find(1) is None
