"""The cache that the processes of a host share: with little room, damaged, or gone."""

import copy
import errno
import gc
import os
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from conftest import not_for_ever
from own_callbacks import Watch
from reference_loop import reference
from wirings import LAYOUT, mapping, result, wired

from deap_nn import Individual, NoiseTable, cxScanning, selRankBoosted
from deap_nn.breeding.kinds import Child
from deap_nn.breeding.store import slots as genome_cache
from deap_nn.breeding.store.genomes import Genomes
from deap_nn.breeding.store.slots import GenomeCache
from deap_nn.core import files
from deap_nn.genome.population import mean_of
from deap_nn.genome.vectors import empty_vector


@pytest.mark.parametrize("size", [0, 5, files._BLOCK, 2 * files._BLOCK + 3])
def test_room_is_claimed_where_the_system_has_no_call_for_it_too(monkeypatch, tmp_path, size):
    monkeypatch.delattr(genome_cache.os, "posix_fallocate")
    assert files.appear(tmp_path / "made", size + 1, lambda file: os.pwrite(file, b"x", size))
    assert (tmp_path / "made").read_bytes() == bytes(size) + b"x"
    assert (tmp_path / "made").stat().st_blocks * 512 >= size
    full = OSError(errno.ENOSPC, "full")
    monkeypatch.setattr(genome_cache.os, "pwrite", lambda *arguments: (_ for _ in ()).throw(full))
    assert not files.appear(tmp_path / "none", 5, lambda file: None)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_cache_with_less_room_than_parents_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)  # a slot a segment
    expected = reference(wired())
    bytes_per_slot = 2 * genome_cache._PAGE
    for slots in (4, 5):
        with pytest.warns(UserWarning, match=r"no room for \d of \d parents .* TMPDIR"):
            assert result(wired(), cache=tmp_path, cache_size=slots * bytes_per_slot) == expected
    assert result(wired(), cache=tmp_path, cache_size=100 * bytes_per_slot) == expected
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mates", [2, 16])
@pytest.mark.parametrize("slots", [4, 12, 24])
def test_what_needs_many_genomes_at_a_time_ends_with_little_room_too(tmp_path, monkeypatch, mates, slots):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)
    monkeypatch.setattr("deap_nn.breeding.lineage.slots_in", lambda *_: slots)

    means, expected = [], []

    def look(evolution):
        some = evolution.fittest or evolution.population
        means.append(evolution.mean(some).flat.tobytes())
        expected.append(mean_of([copy.deepcopy(member) for member in some]).flat.tobytes())

    toolbox = wired(mates=mates, mate=cxScanning, select=partial(selRankBoosted, parents=30))
    with pytest.warns(UserWarning, match="the cache has no room for"), not_for_ever():
        found = result(toolbox, n=48, ngen=4, callbacks=[Watch(look)], cache=tmp_path)
    assert found == reference(toolbox, n=48, ngen=4)
    assert means == expected


def test_a_slot_that_holds_a_genome_is_not_written_again(tmp_path):
    """A reader could not tell: the mark after the second writing is the same as before it."""
    cache = GenomeCache("token", 8, tmp_path)
    with cache.writing(0, 5) as room:
        room[:] = 1.0
    with cache.writing(0, 5) as room:
        assert room is None
    assert cache.read(0, 5).tolist() == [1.0] * 8
    with cache.writing(0, 6) as room:
        assert room is not None
    cache.remove()


def test_a_genome_is_made_over_another_only_where_that_one_is(tmp_path):
    cache = GenomeCache("token", 8, tmp_path)
    with cache.writing(0, 5, over=4) as room:
        assert room is None
    with cache.writing(0, 4) as room:
        room[:] = 1.0
    with cache.writing(0, 5, over=4) as room:
        assert cache.read(0, 4) is None  # no reader takes it for either
        room[:] += 1.0
    assert cache.read(0, 5).tolist() == [2.0] * 8
    with cache.writing(0, 5, over=4) as room:
        assert room is None
    cache.remove()


def test_a_cache_without_room_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"cache: 0\.1 MiB in .* hold 0 genomes .* its files have 16 MiB each: .* TMPDIR"
    ):
        result(wired(), cache=tmp_path, cache_size=100_000)
    assert not list(tmp_path.iterdir())


def test_the_caches_files_may_vanish(tmp_path, monkeypatch):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)
    removed = []

    def remove(evolution):
        if evolution.generation in (2, 4):
            for folder in tmp_path.iterdir():
                removed.append(folder)
                shutil.rmtree(folder)

    found = result(wired(), cache=tmp_path, callbacks=[Watch(remove)])
    assert len(removed) >= 1
    assert found == reference(wired())


def test_damaged_headers_are_bred_again(tmp_path, monkeypatch):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)

    def damage(evolution):
        for path in tmp_path.glob("*/segment*"):
            with open(path, "r+b") as file:
                file.write(b"\x07" * 8)

    assert result(wired(), cache=tmp_path, callbacks=[Watch(damage)]) == reference(wired())


def test_a_run_shares_its_table_if_a_quarter_of_the_cache_is_room_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)
    seen = []
    watch = Watch(lambda run: seen.extend(path.name for path in tmp_path.glob("*/noise-*")))
    expected = reference(wired())
    table, shared = 4 * NoiseTable(1, LAYOUT.size).size, partial(wired, map=mapping)  # 4 MiB
    # In the second run no other process scores.
    runs = (shared(), 4 * table - 1, False), (wired(), 4 * table, False), (shared(), 4 * table, True)
    for toolbox, size, is_shared in runs:
        assert result(toolbox, cache=tmp_path, cache_size=size, callbacks=[watch]) == expected
        assert bool(seen) == is_shared
    gc.collect()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 4 * table)  # with the table there is no room for a segment
    seen.clear()
    assert result(shared(), cache=tmp_path, cache_size=5 * table, callbacks=[watch]) == expected
    assert not seen


def test_a_parent_that_is_overwritten_while_it_is_read_is_read_again(tmp_path):
    class Overwriting:
        """Breeds a copy of its parent, whose slot is given to another genome meanwhile."""

        shapes, container, noise_table, calls = ((3,),), Individual, None, 0

        @property
        def reproduction(self):
            return self

        def breed(self, breeder, children, parents, outs):
            self.calls += 1
            if self.calls == 1:
                with genomes.cache.writing(0, 99) as room:
                    room[:] = 7
            outs[0][:] = parents[0]

    genomes = Genomes(Overwriting(), "run", tmp_path)
    genomes.slots = {1: 0}
    genomes._kept[1] = np.full(3, 5, np.float32)
    with genomes.cache.writing(0, 1) as room:
        room[:] = 5
    out = empty_vector(3)
    genomes.breed([Child(1, 0, (1,))], [out])
    assert out.tolist() == [5, 5, 5]
    assert genomes.breeder.calls == 2
    genomes.cache.remove()


def test_slots_are_read_only_while_they_hold_the_wanted_genome(tmp_path):
    cache, other = GenomeCache("run", 10, tmp_path), GenomeCache("run", 10, tmp_path)
    assert cache.read(3, 7) is None
    with cache.writing(3, 7) as room:
        room[:] = 5
        assert other.read(3, 7) is None  # not before it is whole
    assert other.read(3, 7).tolist() == [5] * 10
    with pytest.raises(RuntimeError), other.writing(3, 8):
        raise RuntimeError
    assert cache.read(3, 7) is None
    assert cache.read(3, 8) is None
    assert (cache.folder.stat().st_mode & 0o777) == 0o700
    cache.close()
    assert other.folder.exists()
    other.close()
    assert not other.folder.exists()


def test_a_slot_that_another_process_writes_is_not_waited_for(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt  # between the lock and the first write

    cache = GenomeCache("run", 10, tmp_path)
    with cache.writing(0, 1):
        pass
    code = (
        "import sys; from pathlib import Path; from deap_nn.breeding.store.slots import GenomeCache\n"
        "cache = GenomeCache('run', 10, Path(sys.argv[1]))\n"
        "with cache.writing(0, 2) as room:\n"
        "    print(room is None, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with cache.writing(0, 1):
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    monkeypatch.setattr(GenomeCache, "_view", interrupted)
    with pytest.raises(KeyboardInterrupt), cache.writing(0, 3):
        pass
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
    cache.remove()


def test_no_file_stays_after_an_exception(tmp_path):
    def fail(evolution):
        if evolution.generation == 2:
            assert list(tmp_path.iterdir())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        result(wired(), cache=tmp_path, callbacks=[Watch(fail)])
    assert not list(tmp_path.iterdir())


def test_claimed_room_that_is_not_there_is_no_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert result(wired(), cache=tmp_path) == reference(wired())
