"""The family of a run's best member: its ancestors, by the places of the parents in the checkpoint."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.operators.ranking import recombination_weights
from deap_nn.operators.recombination import MOST_MATES
from deap_nn.runs.generations import Generation

LEVELS, NODES = 7, 12
"""The number of generations of a family that are drawn, and the largest number of members of each."""

FOUNDERS = 12
"""The largest number of founders that are listed."""


def parents_of(generation: Generation, *, mates: int) -> NDArray[np.int64]:
    """Return the places of each member's parents in the generation before; shape (members, mates).

    A member with fewer parents has some of them more than once.

    Parameters
    ----------
    generation : Generation
        Not the initial one.
    mates : int
        The number of parents that are mated at a time, at least 1.
    """
    chosen = generation.chosen.astype(np.int64) & 0x7FFFFFFF  # an opposite counts as its member
    whole = len(chosen) - len(chosen) % mates
    # Each group of mates has the same parents; an incomplete last group fills its row with its own parents again.
    groups = np.repeat(chosen[:whole].reshape(-1, mates), mates, axis=0)
    alone = len(chosen) - whole
    rest = np.tile(np.resize(chosen[whole:], mates) if alone else np.empty(mates), (alone, 1))
    return np.concatenate([groups, rest.astype(np.int64)])


@dataclass(eq=False)
class Family:
    """The parents in all generations of a run.

    Parameters
    ----------
    past : sequence of Generation
        All of them, from the initial one.
    mates : int
        The number of parents that are mated at a time, 1 without crossover.
    around_centre : bool
        Whether all selected parents form one centre, around which the children are drawn.
    weighted : bool
        Whether all members are selected there, best first, and the better ones count by `recombination_weights`.
    parents : int, optional
        The number of those better ones.
    """

    past: Sequence[Generation]
    _: KW_ONLY
    mates: int
    around_centre: bool = False
    weighted: bool = False
    parents: int | None = None

    def __post_init__(self) -> None:
        self.members = len(self.past[0].wvalues)
        founders, *others = self.past
        if len(founders.chosen) and others:
            # Places in generation 0 are those of the population from which the founders were taken, in any order.
            members = {place: i for i, place in reversed(list(enumerate(founders.chosen.tolist())))}
            if not members.keys() >= set(others[0].chosen.tolist()):
                raise ValueError("the parents of generation 1 are not in generation 0")
            drawn = np.array([members[place] for place in others[0].chosen.tolist()], np.uint32)
            self.past = [founders, replace(others[0], chosen=drawn), *others[1:]]
        if not 1 <= self.mates <= MOST_MATES:
            raise ValueError(f"config.json has {self.mates} mates")

    @classmethod
    def of(cls, past: Sequence[Generation], config: Mapping[str, Any]) -> Family:
        """Return the family of a run with these settings."""
        if isinstance(config.get("ancestry"), Mapping):
            return cls(past, **config["ancestry"])
        around_centre = config.get("step") is not None
        mates = 1 if config.get("crossover") == "none" else config.get("mates") or 2
        return cls(
            past,
            mates=int(mates),
            around_centre=around_centre,
            weighted=around_centre and config.get("sampling") == "independent",
            parents=config.get("parents"),
        )

    def _back(self, number: int, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of each member of the generation before in the members that `shares` counts."""
        if self.around_centre:
            chosen = self.past[number].chosen
            counts = np.bincount(chosen, minlength=self.members)
            if number > 1:
                return self.of_mean(chosen) if self.weighted else counts / len(chosen)
            # Founders have no common centre: the one selected most often, the first of several, is the first centre.
            first = np.zeros(self.members)
            first[chosen[np.argmax(counts[chosen])]] = 1
            return first
        parents = parents_of(self.past[number], mates=self.mates)
        weights = np.repeat(shares / self.mates, self.mates)
        return np.bincount(parents.ravel(), weights=weights, minlength=self.members).astype(np.float64)

    def shares(self, number: int, shares: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the expected share of each member of each generation in a mean of members of one generation.

        Parameters
        ----------
        number : int
            The number of that generation.
        shares : numpy.ndarray
            The weight of each of its members in the mean, shape (members,); the sum is 1.

        Returns
        -------
        list of numpy.ndarray
            The shares from generation 0 to `number`, shape (members,) each. Mated parents have equal shares in their
            children.
        """
        found = [shares]
        for generation in range(number, 0, -1):
            found.append(self._back(generation, found[-1]))
        return found[::-1]

    def of_mean(self, ranked: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the share of each member in the mean of some, best first, each once: shape (members,), the sum is 1.

        Members with a negative weight, from which a centre moves away, have no share.
        """
        weights = np.ones(len(ranked))
        if self.weighted:
            weights = np.maximum(recombination_weights(len(ranked), self.parents), 0)
        shares = np.zeros(self.members)
        shares[ranked] = weights / weights.sum()
        return shares

    def founders(self) -> list[int]:
        """Return the number of founders with descendants in each generation."""
        if self.around_centre:
            return [self.members, *[1] * (len(self.past) - 1)]
        # A bit for each founder: the founders of a child are the bitwise or of its parents' bits.
        descent = np.packbits(np.eye(self.members, dtype=bool), axis=1)
        counts = [self.members]
        for generation in self.past[1:]:
            parents = parents_of(generation, mates=self.mates)
            descent = np.bitwise_or.reduce(descent[parents], axis=1)
            counts.append(int(np.unpackbits(np.bitwise_or.reduce(descent, axis=0)).sum()))
        return counts

    def edges(self, number: int, children: Sequence[int], parents: Sequence[int]) -> list[list[int]]:
        """Return the pairs of a child and its parent, as positions in `children` and `parents`.

        Around a centre each selected parent is a parent of all children.
        """
        if self.around_centre:
            return [[i, j] for i in range(len(children)) for j in range(len(parents))]
        own = parents_of(self.past[number], mates=self.mates)
        return [[i, j] for i, child in enumerate(children) for j, one in enumerate(parents) if one in own[child]]


def describe_family(past: Sequence[Generation], config: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the family of a run's best member, ready for JSON.

    Parameters
    ----------
    past : sequence of Generation
        The run's generations, at least one.
    config, status : mapping
        Its settings, and its ``status.json``, with the generation and the candidate of the result.
    """
    ancestry = Family.of(past, config)
    kept = status.get("generation")
    number = kept if isinstance(kept, int) and 0 <= kept < len(past) else len(past) - 1
    best = past[number].wvalues[:, 0]
    several = number > 0 and status.get("readout") == "mean of the parents"
    count = past[number].parents if several else 1
    shares = ancestry.shares(number, ancestry.of_mean(np.argsort(-best, kind="stable")[:count]))
    tree: list[dict[str, Any]] = []
    for generation in range(number, max(-1, number - LEVELS), -1):
        order = np.argsort(-shares[generation], kind="stable")
        order = order[shares[generation][order] > 0]
        fitness = past[generation].wvalues[:, 0] / first_weight(config)
        members = [
            {"place": int(i), "fitness": float(fitness[i]), "share": round(float(shares[generation][i]), 5)}
            for i in order[:NODES]
        ]
        tree.append({"generation": generation, "members": members, "in_all": len(order), "edges": []})
    for level, above in itertools.pairwise(tree):
        places = [[node["place"] for node in part["members"]] for part in (level, above)]
        level["edges"] = ancestry.edges(level["generation"], places[0], places[1])
    order = np.argsort(-shares[0], kind="stable")
    named = order[shares[0][order] > 0]
    return {
        "of": "mean of the parents" if several else "best member",
        "generation": number,
        "members": ancestry.members,
        "around_centre": ancestry.around_centre,
        "surviving": ancestry.founders(),
        "ancestors": [int(np.count_nonzero(share)) for share in shares],
        "founders": [{"place": int(i), "share": round(float(shares[0][i]), 5)} for i in named[:FOUNDERS]],
        "founders_in_all": len(named),
        "tree": tree,
    }


def first_weight(config: Mapping[str, Any]) -> float:
    """Return the weight of a run's first fitness value, by its settings; -1 if they have none."""
    weights = config.get("fitness_weights")
    return float(weights[0]) if isinstance(weights, list) and weights and weights[0] else -1.0
