"""The folder of a cache: another user's is left alone, a dead run's is swept, and what cannot be one is named."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import not_for_ever

from deap_nn.breeding.store import slots as genome_cache
from deap_nn.breeding.store.slots import GenomeCache, sweep
from deap_nn.process.workers import ABANDONED_SECONDS, is_foreign


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
        "import os, sys; from pathlib import Path; from deap_nn.breeding.store.slots import GenomeCache\n"
        "cache = GenomeCache('killed', 10, Path(sys.argv[1]))\n"
        "with cache.writing(0, 2): pass\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    other = living.folder.with_name(living.folder.name + "-file")  # somebody else's, of such a name
    other.write_text("no folder")
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living.folder, other])
    living.remove()
