"""The fitness is what NumPy says it is, whatever the group, the part of the data and the place in memory."""

import os
import pickle
import signal

import numpy as np
import pytest
from conftest import made_digits

from deap_nn import GA, Individual, KerasProblem, initScaled, make_toolbox
from deap_nn.core.errors import WORST
from deap_nn.core.registered import at
from deap_nn.data import loading, registry
from deap_nn.data.minibatches import batch_indices
from deap_nn.genome.vectors import empty_vector
from deap_nn.models.built_in import BUILT_IN
from deap_nn.models.reference import reference_of
from deap_nn.models.tensorflow import configure_tensorflow, keras, tf
from deap_nn.problems import evaluate
from deap_nn.problems.evaluate import ErrorRate, Evaluate
from deap_nn.problems.network import Network
from deap_nn.problems.objectives import of_classes
from deap_nn.problems.problem import Problem
from deap_nn.problems.scorer import Scorer, forget_all

MLP = reference_of("mlp")


def individual_for(reference=MLP, seed=1):
    return initScaled(Individual, reference.layout, rng=np.random.default_rng(seed))


def problem(digits, reference=MLP, *, fitness="cross_entropy", **changes):
    settings = {"batch_size": 64, "seed": 1, "images": True}
    return Problem(reference, digits.reference, (of_classes(fitness),), **(settings | changes))


def mlp_logits(individual, images):
    kernel1, bias1, kernel2, bias2 = (matrix.astype(np.float64) for matrix in individual)
    hidden = np.maximum(images.reshape(len(images), -1) / 255.0 @ kernel1 + bias1, 0)
    return hidden @ kernel2 + bias2


def test_fitness_is_error_rate_and_cross_entropy(digits):
    individual = individual_for()
    for generation in (0, 3, 7):
        chosen = batch_indices(1, generation, 64, len(digits.x_train))
        logits, labels = mlp_logits(individual, digits.x_train[chosen]), digits.y_train[chosen]
        log_sum = np.log(np.exp(logits).sum(axis=1))
        expected = (log_sum - logits[np.arange(64), labels]).mean()
        assert at(Evaluate(problem(digits)), generation)(individual) == (pytest.approx(expected, rel=1e-5),)
        error = (logits.argmax(axis=1) != labels).mean()
        assert at(Evaluate(problem(digits, fitness="error")), generation)(individual) == (error,)
    assert isinstance(Evaluate(problem(digits))(individual)[0], float)
    with pytest.raises(ValueError, match="individual must have the shapes"):
        Evaluate(problem(digits))(Individual([np.zeros((784, 64))]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("fitness", ["error", "cross_entropy"])
def test_what_is_not_finite_is_the_worst_and_finite(digits, value, fitness):
    individual = individual_for()
    individual[3][0] = value
    worst = {"error": 1.0, "cross_entropy": WORST}[fitness]
    scoring = problem(digits, fitness=fitness)
    assert Evaluate(scoring)(individual) == (worst,)
    assert ErrorRate(scoring)(individual, "validation", size=50) == 1.0


def test_where_the_weights_lie_in_memory_does_not_matter(digits):
    individual = individual_for()
    expected = Evaluate(problem(digits))(individual)
    for offset in (1, 5, 16):
        flat = np.empty(individual.flat.size + 32, np.float32)[offset : -32 + offset]
        flat[:] = individual.flat
        moved = Individual.from_flat(flat, individual.shapes)
        assert Evaluate(problem(digits))(moved) == expected
    flat.flags.writeable = False
    assert Evaluate(problem(digits))(Individual.from_flat(flat, individual.shapes)) == expected


@pytest.mark.parametrize("name", BUILT_IN)
def test_bfloat16_scores_nearly_the_same_and_validates_exactly_the_same(digits, name):
    reference = reference_of(name)
    individual = individual_for(reference)
    exact = Evaluate(problem(digits, reference))(individual)[0]
    quick = Evaluate(problem(digits, reference, precision="bfloat16"))(individual)[0]
    assert quick != exact
    assert quick == pytest.approx(exact, rel=0.02)
    errors = {
        ErrorRate(problem(digits, reference, precision=precision))(individual, "validation", size=80)
        for precision in ("float32", "bfloat16")
    }
    assert len(errors) == 1


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ValueError, match="device: TensorFlow sees no GPU"):
        configure_tensorflow(1, "gpu")


def test_a_huge_cross_entropy_is_what_it_is(digits):
    individual = individual_for()
    for matrix in individual:
        matrix *= 1e9
    assert 1e15 < Evaluate(problem(digits))(individual)[0] < WORST


def test_misread_counts_agree_with_numpy_over_all_stretches(digits, mlp, monkeypatch):
    individual = individual_for(seed=2)
    toolbox = mlp(GA(centred=False, stratified=False), validation_size=30)
    for split in ("train", "validation", "test"):
        images, labels = digits.part(split)
        expected = (mlp_logits(individual, images).argmax(axis=1) != labels).mean()
        assert toolbox.error_rate(individual, split) == toolbox.error_rate(individual, split, size=10_000) == expected
        with monkeypatch.context() as patched:
            patched.setattr(evaluate, "GROUPED_CHUNK", 20)
            assert toolbox.error_rate(individual, split) == expected
    with pytest.raises(ValueError, match="size must be at least 1"):
        toolbox.error_rate(individual, "validation", size=0)
    wrong = mlp_logits(individual, digits.x_validation).argmax(axis=1) != digits.y_validation
    found = toolbox.assess(individual, 4)
    assert found["val_error"] == wrong[:30].mean() == toolbox.error_rate(individual, "validation", size=30)
    chosen = batch_indices(1, 4, 64, len(digits.x_train))
    on_batch = mlp_logits(individual, digits.x_train[chosen]).argmax(axis=1) != digits.y_train[chosen]
    assert found["train_error"] == on_batch.mean()


def assessed(problem, individual, size):
    """Return what one call of a small network assesses, and the number of tasks."""
    tasks = []
    found = evaluate.Assess(problem, size)(
        individual, 4, map=lambda function, given: map(function, tasks.extend(given) or tasks)
    )
    return found, len(tasks)


def test_one_call_assesses_a_small_network_as_slices_do(digits, monkeypatch):
    individual, images = individual_for(seed=4), problem(digits)
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, 3)).astype(np.float32), rng.normal(size=(200, 2)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    losses = {"mse": 1, lambda y_true, y_pred: np.abs(y_true - y_pred).mean(): 2}
    cases = [(images, individual, size, 1) for size in (7, 30, 0)]
    for loss, tasks in losses.items():
        toolbox = make_toolbox(KerasProblem(model, x, y, loss=loss), seed=1)
        cases.append((toolbox.problem, toolbox.individual(), 25, tasks))
    one_call = [assessed(case, member, size) for case, member, size, _ in cases]
    assert one_call[0][0]["val_error"] != one_call[1][0]["val_error"]  # otherwise the size would not matter here
    assert [tasks for _, tasks in one_call] == [tasks for *_, tasks in cases]
    monkeypatch.setattr(evaluate, "is_small", lambda model: False)
    for (found, _), (case, member, size, _) in zip(one_call, cases, strict=True):
        assert found == assessed(case, member, size)[0]
        assert list(found) == ["train_error", "val_error"][: 1 + (size > 0)]


def test_what_is_no_individual_is_named(mlp):
    toolbox = mlp()
    individual = toolbox.individual()
    matrices, vector = [np.array(matrix) for matrix in individual], np.array(individual)
    assert toolbox.evaluate(vector) == toolbox.evaluate(individual)
    makes = r"Individual\(matrices\) or toolbox.from_vector\(vector\) makes one$"
    with pytest.raises(
        TypeError, match=r"^individual must be a WeightList or a vector of \d+ weights, got list: " + makes
    ):
        toolbox.evaluate(matrices)
    for other in (matrices, vector, None):
        got = rf"^individual must be a WeightList of the network's shapes, got {type(other).__name__}: "
        for split in ("validation", "test"):
            with pytest.raises(TypeError, match=got + makes):
                toolbox.error_rate(other, split)


def test_the_network_is_traced_once_for_the_fitness_and_once_for_any_part(digits, monkeypatch):
    traced = []
    outputs = Network._outputs
    monkeypatch.setattr(Network, "_outputs", lambda *arguments: traced.append(1) or outputs(*arguments))
    forget_all()  # another test may have compiled it
    scoring = Scorer(problem(digits, seed=77))
    individuals = [individual_for(seed=seed) for seed in range(3)]
    scoring.fitness(individuals[0], 0)
    made = len(traced)
    for generation in range(3):
        for individual in individuals:
            scoring.fitness(individual, generation)
    assert len(traced) == made > 0
    made = len(traced)
    scoring.outputs(individuals[0], "validation", 0, 50)
    assert len(traced) == made + 1
    scoring.outputs(individuals[1], "test", 0, 50)
    scoring.outputs(individuals[1], "test", 0, 30)
    assert len(traced) == made + 1


def test_a_signal_waits_for_what_is_being_traced(digits, monkeypatch):
    forget_all()
    scoring = Scorer(problem(digits, seed=78))
    individual, done, outputs = individual_for(), [], Network._outputs

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        made = outputs(*arguments)
        done.append(True)
        return made

    monkeypatch.setattr(Network, "_outputs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scoring.outputs(individual, "validation", 0, 20)
    assert done == [True]  # so TensorFlow is left in no graph, whatever the exception is thrown into
    assert tf.executing_eagerly()


def test_groups_of_any_size_give_the_bits_of_a_single_member_wherever_they_lie(digits):
    individuals = [individual_for(seed=seed) for seed in range(50)]
    individuals[7][3][0] = np.nan
    evaluate = at(Evaluate(problem(digits)), 2)
    assert evaluate.scores_groups
    expected = [evaluate(individual) for individual in individuals]
    genomes = np.stack([individual.flat for individual in individuals])
    assert evaluate.many(genomes[:7]) + evaluate.many(genomes[7:]) == expected
    aligned = empty_vector(genomes.size).reshape(genomes.shape)  # TensorFlow reads it as it is
    aligned[:] = genomes
    assert evaluate.many(aligned) == expected
    aligned.flags.writeable = False
    assert evaluate.many(aligned) == expected
    assert not Evaluate(problem(digits, reference_of("mnist_deep"))).scores_groups


def test_evaluate_is_small_to_send(digits):
    evaluate = at(Evaluate(problem(digits)), 5)
    content = pickle.dumps(evaluate, pickle.HIGHEST_PROTOCOL)
    assert len(content) < 1000
    again = pickle.loads(content)
    individual = individual_for()
    assert again(individual) == evaluate(individual)
    assert again.generation == 5


def test_data_are_loaded_once_a_process(digits_file, monkeypatch):
    data = loading.load_dataset("mnist", digits_file)
    assert np.array_equal(data.x_test, made_digits().x_test)
    loaded = []
    monkeypatch.setattr(registry, "HELD", {})
    monkeypatch.setattr(loading, "read_npz", lambda path, read=loading.read_npz: loaded.append(path) or read(path))
    for generation in range(3):
        at(Evaluate(problem(data, seed=99)), generation)(individual_for())
    assert len(loaded) == 1
