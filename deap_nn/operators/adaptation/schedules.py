"""Schedules of sigma: constant, or a function of the generation."""

from collections.abc import Sequence
from typing import Any, Literal

from deap_nn.operators.adaptation.protocol import State, check_sigma


class Constant:
    """The same sigma in all generations.

    Parameters
    ----------
    sigma : float
        The standard deviation of the noise, at least 0.

    Examples
    --------
    >>> Constant(0.1).sigma
    0.1
    """

    def __init__(self, sigma: float) -> None:
        self._sigma = check_sigma(sigma, "sigma")

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def state(self) -> dict[str, float]:
        """Return an empty state."""
        return {}

    def restore(self, state: State) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"Constant({self._sigma})"


class Annealed:
    r"""Sigma changes from an initial to a final value over the generations.

    At generation `g`, with :math:`t = g/G`, sigma is :math:`\sigma_0 (\sigma_1/\sigma_0)^t`, or
    :math:`\sigma_0 + (\sigma_1 - \sigma_0) t` if `shape` is "linear"; it stays at :math:`\sigma_1` after
    generation `G`.

    Parameters
    ----------
    sigma, final : float
        The initial and the final standard deviation, both above 0.
    generations : int, optional
        `G`, at least 1. Default: the number of generations of the run, which `evolve` fills in. DEAP's own loops need
        it here or as ``make_toolbox(generations=...)``.
    shape : {"geometric", "linear"}
        The form of the schedule.

    Examples
    --------
    >>> annealed = Annealed(0.4, 0.1, 2)
    >>> annealed.update([], 1)
    >>> round(annealed.sigma, 3)
    0.2
    >>> linear = Annealed(0.4, 0.1, 2, shape="linear")
    >>> linear.update([], 1)
    >>> linear.sigma
    0.25
    """

    def __init__(
        self,
        sigma: float,
        final: float,
        generations: int | None = None,
        *,
        shape: Literal["geometric", "linear"] = "geometric",
    ) -> None:
        self.first = check_sigma(sigma, "sigma")
        self.final = check_sigma(final, "final")
        if min(self.first, self.final) == 0:
            raise ValueError(f"sigma and final must be above 0, got {sigma!r} and {final!r}")
        if generations is not None and generations < 1:
            raise ValueError(f"generations must be at least 1, got {generations!r}")
        if shape not in ("geometric", "linear"):
            raise ValueError(f"shape must be 'geometric' or 'linear', got {shape!r}")
        self.generations = None if generations is None else int(generations)
        self.shape = shape
        self._sigma: float | None = self.first

    _of_the_run: int | None = None

    def run_of(self, generations: int | None) -> None:
        """Set the number of generations of the run, at least 0, used as `G` if none was given; None if unknown."""
        self._of_the_run = None if generations is None else max(1, int(generations))

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise.

        Raises
        ------
        ValueError
            After generation 0, if the number of generations is not known.
        """
        if self._sigma is None:
            raise ValueError(
                f"{self!r} needs the number of generations outside evolve: give it as Annealed(..., generations=N) "
                "or make_toolbox(..., generations=N)"
            )
        return self._sigma

    def _at(self, generation: int) -> float | None:
        """Return sigma in a generation; None after generation 0 if the number of generations is not known."""
        length = self.generations or self._of_the_run
        if not generation or length is None:
            return None if generation else self.first
        done = min(generation / length, 1.0)
        if self.shape == "linear":
            return self.first * (1.0 - done) + self.final * done
        return self.first * float((self.final / self.first) ** done)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Set sigma for the generation."""
        self._sigma = self._at(int(generation))

    def reset(self) -> None:
        """Restore the initial sigma."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return sigma if it is known, and the number of generations if it is that of the run."""
        of_the_run = self._of_the_run if self.generations is None else None
        state = {"sigma": self._sigma, "generations": of_the_run}
        return {name: value for name, value in state.items() if value is not None}

    def restore(self, state: State) -> None:
        """Set sigma and the number of generations of the run."""
        if "generations" in state:
            self.run_of(int(state["generations"]))
        self._sigma = state.get("sigma")

    def __repr__(self) -> str:
        length = "" if self.generations is None else f", {self.generations}"
        shape = "" if self.shape == "geometric" else f", shape={self.shape!r}"
        return f"Annealed({self.first}, {self.final}{length}{shape})"
