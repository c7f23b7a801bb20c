"""An agent that balances Gymnasium's CartPole: a network with its mean return of several episodes as the fitness.

Run it with plain ``python experiments/cartpole.py`` or under ``python -m scoop``. It needs the extra "gymnasium".
"""

from functools import cache
from typing import Any

import numpy as np
from deap import base, creator
from gallery import gallery_parser

from deap_nn import (
    Callback,
    Evolution,
    Layout,
    WeightList,
    cxMask,
    evolve,
    initNormal,
    initPopulation,
    mutGaussianAdaptive,
    selRankBoosted,
)
from deap_nn.core.environment import optional
from deap_nn.core.errors import InputError
from deap_nn.maps import Map, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process import signals
from deap_nn.process.cli import run_command

prepare_worker()

LAYOUT = Layout(("hidden", "bias", "output"), ((4, 8), (8,), (8, 2)))
TRIALS, UNSEEN = range(1000, 1005), range(20)
"""The seeds of the episodes of the fitness, and of the episodes that test the result."""


creator.create("FitnessReturn", base.Fitness, weights=(1.0,))
creator.create("Agent", WeightList, fitness=creator.FitnessReturn)


@cache
def environment() -> Any:
    """Return CartPole-v1, made once in a process."""
    with optional("gymnasium"):
        import gymnasium
    return gymnasium.make("CartPole-v1")


def episode(agent: WeightList, seed: int) -> list[float]:
    """Return the angle of the pole, in degrees, at each step of an episode: its return is their number."""
    hidden, bias, output = agent
    state, _ = environment().reset(seed=seed)
    angles, over = [], False
    while not over:
        push = int(np.argmax(np.tanh(state @ hidden + bias) @ output))
        state, _, fallen, too_long, _ = environment().step(push)
        angles.append(float(np.degrees(state[2])))
        over = fallen or too_long
    return angles


def evaluate(agent: WeightList) -> tuple[float]:
    """Return the mean return of the trials, 500 at most."""
    return (float(np.mean([len(episode(agent, seed)) for seed in TRIALS])),)


class Watch(Callback):
    """Keep the best agent of the first generation and of the last, and end the run with one that never falls."""

    def on_generation(self, evolution: Evolution) -> None:
        """Look at the best."""
        self.best = evolution.best
        if evolution.generation == 0:
            self.first = evolution.best
        if self.best.fitness.values[0] >= 500:
            evolution.stop = "balanced"


def make_toolbox(seed: int, map_: Map = map) -> base.Toolbox:
    """Wire genome, operators and fitness."""
    toolbox = base.Toolbox()
    toolbox.register("individual", initNormal, creator.Agent, LAYOUT, sigma=0.5)
    toolbox.register("population", initPopulation, toolbox, seed)
    toolbox.register("mate", cxMask)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.3)
    toolbox.register("select", selRankBoosted, parents=10)
    toolbox.register("evaluate", evaluate)
    toolbox.register("map", map_)
    return toolbox


def main() -> int:
    """Evolve an agent, and print its return in the test episodes."""
    options = gallery_parser("Evolve an agent that balances CartPole.", 30, 40, seeded=True).parse_args()
    try:
        environment()
    except ImportError as error:
        raise InputError(error) from error
    watch = Watch()
    with signals.interruptible(), chosen_map(options) as map_:
        toolbox = make_toolbox(options.seed, map_)
        population = toolbox.population(n=options.population)
        _, logbook = evolve(population, toolbox, options.generations, seed=options.seed, callbacks=[watch])
    returns = [len(episode(watch.best, seed)) for seed in UNSEEN]
    print(f"{logbook[-1]['gen']} generations, best mean return of {len(TRIALS)} episodes: {logbook[-1]['max']:.1f}")
    print(f"mean return of {len(UNSEEN)} other episodes: {np.mean(returns):.1f}, lowest {min(returns)}, of 500")
    if options.output:
        from figures import Panel, draw_panels

        gen, middle, best = logbook.select("gen", "avg", "max")
        run = Panel("generation", "mean return of 5 episodes (steps)", {"average": (gen, middle), "best": (gen, best)})
        poles = Panel("step", "angle of the pole (degrees)", title="an episode that neither has seen")
        for name, agent in (("best of generation 0", watch.first), ("best at the end", watch.best)):
            angles = episode(agent, 0)
            poles.lines |= {name: (range(len(angles)), angles)}
        draw_panels([run, poles], options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
