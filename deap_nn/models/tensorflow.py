"""TensorFlow and Keras for this package: imported without notices, with a limited number of threads."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

from numpy.typing import NDArray

from deap_nn.core.environment import MOST_THREADS, extras_hidden, without_collections
from deap_nn.core.errors import warn_user
from deap_nn.core.seeding import global_state_kept
from deap_nn.genome.vectors import ALIGNMENT
from deap_nn.process import workers

NOTICE = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} |E\d{4} .*(failed call to cuInit|Unable to register cu)"
)
"""A log line that does not matter on a processor: its features, and that there is no GPU."""


@contextlib.contextmanager
def _without_start_up_notices() -> Iterator[None]:
    """Hold back the lines that TensorFlow's libraries write to standard error on import, and print all but notices.

    The libraries write before any log level applies, so no setting silences them. If the user sets
    ``TF_CPP_MIN_LOG_LEVEL`` to 0 or 1, which ask for notices, all lines are printed.
    """
    asked_for = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1")
    if asked_for or sys.stderr is None:  # closed, as by ``2>&-``
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept.read().decode(errors="replace").splitlines():
                if not NOTICE.match(line):
                    print(line, file=sys.stderr)


ANOTHER_BACKEND = "Keras must use TensorFlow: set KERAS_BACKEND=tensorflow, or the backend in ~/.keras/keras.json"

# The global random state is kept since rich, which Keras imports, draws numbers.
with _without_start_up_notices(), extras_hidden(), global_state_kept(), without_collections():
    try:
        import keras
        import tensorflow as tf
        from tensorflow.python.eager.context import context_safe
    except ModuleNotFoundError as error:
        missing = "TensorFlow is missing, which scores Keras models: pip install tensorflow"
        if (error.name or "").partition(".")[0] in ("torch", "jax", "openvino"):
            missing = ANOTHER_BACKEND
        raise ModuleNotFoundError(f"{missing} ({error})", name="tensorflow") from error
    if keras.backend.backend() != "tensorflow":
        raise ImportError(ANOTHER_BACKEND, name="keras")

    tf.config.list_physical_devices()  # the search for devices prints its notices now, while they are held back

_forked: list[int] = []
"""The ids of this process and its parents that were forked after TensorFlow had computed: forks lack its threads."""


def _note_fork() -> None:
    """Record in a process that was just forked if TensorFlow had computed, or made a tensor, before the fork."""
    known = context_safe()  # TensorFlow makes its handle when it first computes
    if known is not None and known._context_handle is not None:
        _forked.append(os.getpid())


os.register_at_fork(after_in_child=_note_fork)


def check_not_forked() -> None:
    """Raise RuntimeError in a process that was forked after TensorFlow had computed, where it would wait for ever.

    ``multiprocessing.Pool()`` on Linux, ``ProcessPoolExecutor`` and joblib's backend "multiprocessing" make such
    processes. Building a model counts as computing: its weights are tensors.
    """
    if _forked:
        raise RuntimeError(
            "TensorFlow does not compute in a process that was forked after it has computed: take "
            "deap_nn.open_map('processes'), or multiprocessing.get_context('spawn').Pool(), under a main guard"
        )


def configure_tensorflow(threads: int, device: Literal["cpu", "gpu"] = "cpu") -> None:
    """Limit TensorFlow's threads, and hide GPUs unless `device` is "gpu"; call it before TensorFlow computes.

    Parameters
    ----------
    threads : int
        1 to ``MOST_THREADS``. If TensorFlow already computes with another number, as it does after a script has built a
        model, the number stays. Under SCOOP a warning says so, since its processes may then differ.
    device : {"cpu", "gpu"}
        The device that computes. Repeatable results are promised only on a processor.

    Raises
    ------
    ValueError
        If `device` is "gpu" and TensorFlow sees no GPU, or there are too many threads.
    """
    if threads > MOST_THREADS:
        raise ValueError(f"threads must be at most {MOST_THREADS}, got {threads}")
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise ValueError("device: TensorFlow sees no GPU")
    try:
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        if tf.config.get_visible_devices("GPU"):
            warnings.warn("TensorFlow already computes on a GPU: set CUDA_VISIBLE_DEVICES=-1 to hide it", stacklevel=3)
    config = tf.config.threading
    for name in ("intra", "inter"):
        variable = f"TF_NUM_{name.upper()}OP_THREADS"
        if getattr(config, f"get_{name}_op_parallelism_threads")() == threads or os.environ.get(variable) == str(
            threads
        ):
            continue
        try:
            getattr(config, f"set_{name}_op_parallelism_threads")(threads)
        except RuntimeError:
            if workers.running_under_scoop():  # a single process cannot differ
                said = f"TensorFlow already computes, not limited to {threads} thread(s), so the last bits of a fitness"
                advice = f"set {variable}={threads} before TensorFlow is imported"
                warn_user(f"{said} may differ between processes: {advice}", about="threads")
            return


def shared_tensor(array: NDArray[Any]) -> Any:
    """Return a tensor that shares the array's memory if TensorFlow can read it there, otherwise a copy."""
    # DLPack hands the memory over without a copy. TensorFlow wants it aligned, and NumPy exports no read-only memory.
    if array.ctypes.data % ALIGNMENT or not (array.flags.writeable and array.flags.c_contiguous):
        return tf.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def traced(function: Callable[..., Any], *specs: Any) -> Callable[..., Any]:
    """Trace a function for tensors of some shapes and types, and return the traced function.

    Parameters
    ----------
    function : callable
        The function of tensors, in any structures.
    *specs : nest of tf.TensorSpec
        The shape and type of each tensor. The traced function takes tensors of these in the same structures, unchecked.
    """
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    # `tf.function` looks for the trace that fits, and a call of `concrete` compares the types of all arguments: each
    # takes longer than a small network.
    return lambda *given: concrete.inference_fn.call_preflattened([*tf.nest.flatten(given), *concrete.captured_inputs])


__all__ = ["check_not_forked", "configure_tensorflow", "keras", "shared_tensor", "tf", "traced"]
