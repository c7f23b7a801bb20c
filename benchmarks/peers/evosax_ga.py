"""evosax' SimpleGA: a whole generation (breeding, scoring, selection) in one compiled step."""

import common
import jax
import jax.numpy as jnp
import optax
from evosax.algorithms import SimpleGA

OPTIONS = common.arguments()
SHAPES = common.SHAPES[OPTIONS.network]
X, Y = map(jnp.asarray, common.digits())
INPUTS, TARGETS = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]], jnp.float32), jnp.array([0, 1, 1, 0], jnp.float32)


def pooled(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")


def convolved(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def cnn(w1, b1, w2, b2, w3, b3, w4, b4):
    h = pooled(jax.nn.relu(convolved(X, w1) + b1))
    h = pooled(jax.nn.relu(convolved(h, w2) + b2))
    return jnp.mean(jnp.argmax(jax.nn.relu(h.reshape(-1, 3136) @ w3 + b3) @ w4 + b4, axis=1) != Y)


def mlp(w1, b1, w2, b2):
    return jnp.mean(jnp.argmax(jax.nn.relu(X.reshape(-1, 784) @ w1 + b1) @ w2 + b2, axis=1) != Y)


def xor(w1, b1, w2, b2):
    outputs = 0.5 + 0.5 * jnp.tanh((jnp.tanh(INPUTS @ w1 + b1) @ w2 + b2)[:, 0])
    return jnp.mean((outputs - TARGETS) ** 2)


def main():
    network = {"cnn": cnn, "mlp": mlp, "xor": xor}[OPTIONS.network]
    fitness = lambda weights: network(*weights)  # noqa: E731  (as JAX code is written)
    score = jax.vmap(fitness) if OPTIONS.way == "vmap" else lambda population: jax.lax.map(fitness, population)
    schedule = optax.constant_schedule(common.SIGMA)
    ga = SimpleGA(OPTIONS.members, [jnp.zeros(shape) for shape in SHAPES], std_schedule=schedule)
    ga.elite_ratio = common.PARENTS
    params = ga.default_params.replace(crossover_rate=0.5)

    def started(key):
        keys = jax.random.split(key, len(SHAPES))
        sizes = (OPTIONS.members,)
        return [0.05 * jax.random.normal(k, sizes + shape) for k, shape in zip(keys, SHAPES, strict=True)]

    def one_generation(key, state):
        key, asking, telling = jax.random.split(key, 3)
        population, state = ga.ask(asking, state, params)
        values = score(population)
        state, _ = ga.tell(telling, population, values, state, params)
        return key, state

    key = jax.random.key(0)
    population = jax.jit(started)(key)
    current = [key, ga.init(key, population, score(population).astype(jnp.float32), params)]
    del population
    compiled = jax.jit(one_generation, donate_argnums=1)

    def step():
        current[:] = compiled(*current)
        jax.block_until_ready(current[1].fitness)

    step()  # compiles
    common.report(OPTIONS, common.timed(step, OPTIONS.generations), ("evosax", "jax", "numpy"))


if __name__ == "__main__":
    main()
