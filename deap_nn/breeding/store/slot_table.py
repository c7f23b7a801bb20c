"""Assigns the slots of a host's cache to genomes, in the main process; tasks carry the slots to the workers."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Container, Iterable

LODGED_WEIGHTS = 1_000_000
"""Children with fewer weights get no slots: breeding them a second time is cheap."""

LODGED_MATES = 3
"""Children of fewer parents get no slots: to breed only one of a pair costs just a third more than its share."""

LODGED_SHARE = 0.2
"""The largest share of the cache for the children of a generation: other runs on the host use the same memory."""


class SlotTable:
    """The assignment of slots to genomes.

    Parameters
    ----------
    count : int
        The number of slots in the cache.

    Attributes
    ----------
    held : dict
        The slot of each genome that has one, by its id.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.held: dict[int, int] = {}
        self._free: list[int] = []  # a heap: low slots are used again first, so that files of the cache stay few
        self._fresh = 0  # the first slot that was never used

    def take(self, key: int) -> bool:
        """Give a genome a slot, unless it has one, and return whether it has one now."""
        if key not in self.held:
            if self._free:
                self.held[key] = heapq.heappop(self._free)
            elif self._fresh < self.count:
                self.held[key], self._fresh = self._fresh, self._fresh + 1
        return key in self.held

    def lodge(self, children: Iterable[int], weights: int, mates: int) -> None:
        """Give children slots of their own: then children chosen as parents are not bred a second time.

        To breed only one child of four parents costs about twice its share of breeding all four siblings.

        Parameters
        ----------
        children : iterable of int
            Their ids.
        weights : int
            The number of weights of each.
        mates : int
            The number of their parents.
        """
        if weights >= LODGED_WEIGHTS and mates >= LODGED_MATES:
            for child in itertools.islice(children, int(self.count * LODGED_SHARE)):
                self.take(child)

    def pass_on(self, old: int, new: int) -> None:
        """Give the slot of a genome to another one, which is made from it there, if only the first has a slot."""
        if old in self.held and new not in self.held:
            self.held[new] = self.held.pop(old)

    def keep_only(self, needed: Container[int]) -> None:
        """Free the slots of all genomes except the needed ones."""
        for key in [key for key in self.held if key not in needed]:
            heapq.heappush(self._free, self.held.pop(key))
