"""The family tree of a run: DEAP's ``History`` with numbers only, without copies of the weights."""

import random
from types import SimpleNamespace

from deap import algorithms, tools
from gallery import gallery_parser

from deap_nn import GA, Individual, grouping, make_toolbox
from deap_nn.maps import chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.operators.adaptation import Clock
from deap_nn.process.cli import run_command

prepare_worker()

toolbox = make_toolbox("mlp", "mnist5k", GA(parents=8), seed=1)


class HistoryOfNumbers(tools.History):
    """DEAP's history of stand-ins, each a number and a generation: it deep-copies all individuals that it gets.

    Parameters
    ----------
    clock : Clock
        The toolbox's clock, which counts the generations.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def update(self, individuals: list[Individual]) -> None:
        """Give new numbers to individuals; numbers that they already have are those of their parents."""
        stand_ins = [SimpleNamespace(generation=self.clock.generation) for _ in individuals]
        for stand_in, individual in zip(stand_ins, individuals, strict=True):
            if hasattr(individual, "history_index"):
                stand_in.history_index = individual.history_index
        super().update(stand_ins)
        for stand_in, individual in zip(stand_ins, individuals, strict=True):
            individual.history_index = stand_in.history_index

    def generation(self, number: int) -> int:
        """Return the generation of an individual."""
        return self.genealogy_history[number].generation

    def parents(self, number: int) -> list[int]:
        """Return the parents in earlier generations: a child is numbered when it is mated, and when it is mutated."""
        found = []
        for parent in self.genealogy_tree[number]:
            earlier = self.generation(parent) < self.generation(number)
            found += [parent] if earlier else self.parents(parent)
        return list(dict.fromkeys(found))

    def lived(self) -> list[int]:
        """Return the numbers that individuals kept: a child that is mutated after it was mated had another before."""
        tree = self.genealogy_tree
        born = {(parent, self.generation(number)) for number, parents in tree.items() for parent in parents}
        return [number for number in tree if (number, self.generation(number)) not in born]

    def family(self, number: int) -> dict[int, list[int]]:
        """Return the parents of an individual and of all its ancestors."""
        family, unseen = {}, [number]
        while unseen:
            child = unseen.pop()
            family[child] = self.parents(child)
            unseen += [parent for parent in family[child] if parent not in family]
        return family


def main() -> int:
    """Evolve by DEAP's eaSimple, and draw the family of the best of the last generation."""
    options = gallery_parser(
        "Evolve a network that reads digits, and draw the family tree of the best.", 10, 16
    ).parse_args()
    random.seed(1)  # eaSimple draws from Python's global generator
    history = HistoryOfNumbers(toolbox.clock)
    for operator in ("mate", "mutate"):
        toolbox.decorate(operator, history.decorator)
    population = toolbox.population(n=options.population)
    history.update(population)
    with chosen_map(options) as map_:
        toolbox.register("map", grouping(map_))
        algorithms.eaSimple(population, toolbox, cxpb=0.6, mutpb=0.9, ngen=options.generations, verbose=False)
    best = tools.selBest(population, 1)[0]
    family = history.family(best.history_index)
    founders = [number for number, parents in family.items() if not parents]
    print(f"the best has a cross-entropy of {best.fitness.values[0]:.3f} nats on its mini-batch")
    print(f"{len(family) - 1} of {len(history.lived()) - 1} others are its ancestors")
    print(f"{len(founders)} of {options.population} founders have a part in it")
    if options.output:
        from figures import draw_genealogy

        generations = {number: history.generation(number) for number in family}
        draw_genealogy(generations, family, options.output, best=best.history_index)
    return 0


if __name__ == "__main__":
    run_command(main)
