"""The cache that the processes of a host share: with little room, damaged, or gone."""

import copy
import errno
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import not_for_ever
from own_callbacks import Watch
from reference_loop import reference
from wirings import FOUR_WITH_OPPOSITES, LAYOUT, mapping, result, wired

from deap_nn import Individual, NoiseTable, cxScanning, selRankBoosted
from deap_nn.breeding import slots as genome_cache
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.kinds import Child, Founder
from deap_nn.breeding.slots import PLENTY, GenomeCache, default_place, free_bytes, sweep
from deap_nn.core import files
from deap_nn.genome.population import mean_of
from deap_nn.genome.vectors import empty_vector
from deap_nn.process.workers import ABANDONED_SECONDS, is_foreign


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


@pytest.mark.parametrize("registered", [{}, FOUR_WITH_OPPOSITES], ids=["pairs", "four with opposites"])
def test_a_cache_with_less_room_than_parents_changes_nothing(tmp_path, monkeypatch, registered):
    monkeypatch.setattr(genome_cache, "SEGMENT_BYTES", 1)  # a slot a segment
    expected = reference(wired(**registered))
    bytes_per_slot = 2 * genome_cache._PAGE
    for slots in (4, 5):
        with pytest.warns(UserWarning, match=r"no room for \d of \d parents .* TMPDIR"):
            assert result(wired(**registered), cache=tmp_path, cache_size=slots * bytes_per_slot) == expected
    assert result(wired(**registered), cache=tmp_path, cache_size=100 * bytes_per_slot) == expected
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mates", [2, 16])
@pytest.mark.parametrize("slots", [4, 24])
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
    for over in (None, 4):
        with cache.writing(0, 5, over=over) as room:
            assert (room is None) == (over is not None)  # a genome is made over another one only if that is there
    with cache.writing(0, 5) as room:
        assert room is None
    with cache.writing(0, 4) as room:
        room[:] = 1.0
    with cache.writing(0, 5, over=4) as room:
        assert cache.read(0, 4) is None  # no reader takes it for either
        room[:] += 1.0
    assert cache.read(0, 5).tolist() == [2.0] * 8
    cache.remove()


def test_a_cache_without_room_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cache: 0\.1 MiB in .* hold 0 genomes .* TMPDIR"):
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

        def founder(self, place):
            return Individual([np.full(3, 5)])

        def breed(self, breeder, children, parents, outs):
            self.calls += 1
            if self.calls == 1:
                with genomes.cache.writing(0, 99) as room:
                    room[:] = 7
            outs[0][:] = parents[0]

    genomes, parent = Genomes(Overwriting(), "run", tmp_path), Founder(0)
    genomes.slots, genomes.recipes = {parent.id: 0}, {parent.id: parent}
    with genomes.cache.writing(0, parent.id) as room:
        room[:] = 5
    out = empty_vector(3)
    genomes.breed([Child(1, 0, (parent.id,))], [out])
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


class Interrupted:
    def __getitem__(self, place):
        raise KeyboardInterrupt  # between the lock and the first write


def test_a_slot_that_another_process_writes_is_not_waited_for(tmp_path):

    cache = GenomeCache("run", 10, tmp_path)
    with cache.writing(0, 1):
        pass
    code = (
        "import sys; from pathlib import Path; from deap_nn.breeding.slots import GenomeCache\n"
        "cache = GenomeCache('run', 10, Path(sys.argv[1]))\n"
        "with cache.writing(0, 2) as room:\n"
        "    print(room is None, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with cache.writing(0, 1):
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    cache._segments[0] = cache._segments[0]._replace(marks=Interrupted())
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


# The folder of a cache.


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, swept = fcntl.flock, []

    def late(file, how):
        if how == fcntl.LOCK_SH and not swept:
            swept.append(file.name)
            sweep(tmp_path)
        return lock(file, how)

    monkeypatch.setattr(genome_cache.fcntl, "flock", late)
    cache = GenomeCache("token", 8, tmp_path)
    assert swept
    assert cache.folder.is_dir()
    assert os.path.samestat(os.fstat(cache._lock.fileno()), (cache.folder / "lock").stat())
    sweep(tmp_path)
    assert cache.folder.is_dir()
    cache.remove()


OBSTACLES = {
    "pipe": os.mkfifo,
    "file": lambda path: path.write_bytes(b"theirs"),
    "link to a directory": lambda path: path.symlink_to(path.parent / "elsewhere"),
    "link to nothing": lambda path: path.symlink_to(path.parent / "nowhere"),
    "open directory": lambda path: (path.mkdir(), path.chmod(0o777)),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_others_put_at_its_place_is_left_alone_and_not_waited_for(tmp_path, obstacle):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "kept").touch()
    folder = tmp_path / f"deap_nn-{os.getuid()}-token"
    OBSTACLES[obstacle](folder)
    before = folder.lstat()
    with not_for_ever():
        sweep(tmp_path)
        cache = GenomeCache("token", 8, tmp_path)
    assert cache.folder != folder
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    cache.remove()
    assert folder.lstat().st_ino == before.st_ino
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


@pytest.mark.parametrize(("shared", "free", "is_shared"), [(1, 2, False), (2, 2, True), (PLENTY, 2 * PLENTY, True)])
def test_a_cache_lies_in_shared_memory_if_there_is_more_or_plenty_of_room(monkeypatch, shared, free, is_shared):
    room = {Path("/dev/shm"): shared, Path(tempfile.gettempdir()): free}
    monkeypatch.setattr(genome_cache, "free_bytes", room.__getitem__)
    assert (default_place() == Path("/dev/shm")) == is_shared


def test_a_quarter_of_a_file_system_stays_free(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(f_bavail=100, f_frsize=4))
    assert free_bytes(tmp_path) == 300


def test_a_file_system_without_permissions_is_named(tmp_path, monkeypatch):
    make = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda self, mode=0o777, **words: (make(self, **words), self.chmod(0o777)))
    with not_for_ever(), pytest.raises(OSError, match="keeps no permissions: name a folder on another one by TMPDIR"):
        GenomeCache("token", 8, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"deap_nn-{os.getuid()}-token"]


def test_a_folder_of_another_user_under_its_own_name_is_not_taken(tmp_path, monkeypatch):
    folder = tmp_path / f"deap_nn-{os.getuid()}-token"
    folder.mkdir(mode=0o700)
    found, real = folder.lstat(), Path.lstat
    theirs = SimpleNamespace(st_mode=found.st_mode, st_uid=found.st_uid + 1)
    monkeypatch.setattr(Path, "lstat", lambda path: theirs if path == folder else real(path))
    cache = GenomeCache("token", 8, tmp_path)
    assert cache.folder != folder
    cache.remove()
    assert list(folder.iterdir()) == []


def test_a_folder_of_another_user_is_left_alone(tmp_path, monkeypatch):
    folder = tmp_path / "deap_nn-4711-token"
    folder.mkdir(mode=0o700)
    (folder / "lock").touch()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert is_foreign(folder)
    sweep(tmp_path)
    assert (folder / "lock").exists()


def test_a_folder_without_a_lock_is_swept_when_it_is_old(tmp_path):
    folder = tmp_path / f"deap_nn-{os.getuid()}-token"
    folder.mkdir(mode=0o700)
    (folder / "segment0").touch()
    sweep(tmp_path)
    assert folder.is_dir()
    old = folder.stat().st_mtime - 2 * ABANDONED_SECONDS
    os.utime(folder, (old, old))
    sweep(tmp_path)
    assert not folder.exists()


def test_two_runs_never_meet_and_a_dead_runs_cache_is_swept(tmp_path):
    living = GenomeCache("living", 10, tmp_path)
    code = (
        "import os, sys; from pathlib import Path; from deap_nn.breeding.slots import GenomeCache\n"
        "cache = GenomeCache('killed', 10, Path(sys.argv[1]))\n"
        "with cache.writing(0, 2): pass\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    other = living.folder.with_name(living.folder.name + "-file")  # somebody else's, of such a name
    other.write_text("no folder")
    result(wired(), ngen=0, cache=tmp_path)
    gc.collect()
    assert sorted(tmp_path.iterdir()) == sorted([living.folder, other])
    living.remove()
