"""The fitness is what NumPy says it is, and the way into Keras and back loses nothing."""

import os
import pickle
import signal
import threading
import tracemalloc

import numpy as np
import pytest
from conftest import made_digits

from deap_nn import Dataset, Individual, KerasProblem, initScaled, make_toolbox
from deap_nn.core.errors import WORST
from deap_nn.data import image_files, loading, registry
from deap_nn.data.minibatches import batch_indices
from deap_nn.genome.vectors import empty_vector
from deap_nn.models.built_in import BUILT_IN, build_model
from deap_nn.models.reference import layout_of, model_of, reference_of, trained_model
from deap_nn.models.tensorflow import configure_tensorflow, gathered_tensor, keras, shared_tensor, tf
from deap_nn.problems import measures, network
from deap_nn.problems.evaluate import Evaluate
from deap_nn.problems.measures import ErrorRate, class_probabilities
from deap_nn.problems.network import Network
from deap_nn.problems.problem import Problem, of_classes
from deap_nn.problems.scorer import Scorer, forget_all


@pytest.fixture(scope="module")
def mlp():
    return reference_of("mlp")


def individual_for(reference, seed=1):
    return initScaled(Individual, layout_of(reference), rng=np.random.default_rng(seed))


def problem(digits, reference, *, fitness="cross_entropy", **changes):
    settings = {"batch_size": 64, "seed": 1, "images": True}
    return Problem(reference, digits.reference, (of_classes(fitness),), **(settings | changes))


def mlp_logits(individual, images):
    kernel1, bias1, kernel2, bias2 = (matrix.astype(np.float64) for matrix in individual)
    hidden = np.maximum(images.reshape(len(images), -1) / 255.0 @ kernel1 + bias1, 0)
    return hidden @ kernel2 + bias2


def test_fitness_is_error_rate_and_cross_entropy(digits, mlp):
    individual = individual_for(mlp)
    for generation in (0, 3, 7):
        chosen = batch_indices(1, generation, 64, len(digits.x_train))
        logits, labels = mlp_logits(individual, digits.x_train[chosen]), digits.y_train[chosen]
        log_sum = np.log(np.exp(logits).sum(axis=1))
        expected = (log_sum - logits[np.arange(64), labels]).mean()
        assert Evaluate(problem(digits, mlp), generation)(individual) == (pytest.approx(expected, rel=1e-5),)
        error = (logits.argmax(axis=1) != labels).mean()
        assert Evaluate(problem(digits, mlp, fitness="error"), generation)(individual) == (error,)
    assert isinstance(Evaluate(problem(digits, mlp))(individual)[0], float)


def test_each_epoch_passes_over_the_whole_training_set_in_a_new_order():
    samples, batch = 100, 30
    walk = np.concatenate([batch_indices(5, generation, batch, samples) for generation in range(10)])
    epochs = walk.reshape(3, samples)
    assert all(sorted(epoch.tolist()) == list(range(samples)) for epoch in epochs)
    assert not (epochs[0] == epochs[1]).all()
    assert not (epochs[1] == epochs[2]).all()
    assert not np.array_equal(walk[:30], batch_indices(6, 0, batch, samples))
    assert sorted(batch_indices(1, 0, 100, 100).tolist()) == list(range(100))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("fitness", ["error", "cross_entropy"])
def test_what_is_not_finite_is_the_worst_and_finite(digits, mlp, value, fitness):
    individual = individual_for(mlp)
    individual[3][0] = value
    worst = {"error": 1.0, "cross_entropy": WORST}[fitness]
    scoring = problem(digits, mlp, fitness=fitness)
    assert Evaluate(scoring)(individual) == (worst,)
    assert ErrorRate(scoring)(individual, "validation", size=50) == 1.0


def test_where_the_weights_lie_in_memory_does_not_matter(digits, mlp):
    individual = individual_for(mlp)
    expected = Evaluate(problem(digits, mlp))(individual)
    for offset in (1, 5, 16):
        flat = np.empty(individual.flat.size + 32, np.float32)[offset : -32 + offset]
        flat[:] = individual.flat
        moved = Individual.from_flat(flat, individual.shapes)
        assert Evaluate(problem(digits, mlp))(moved) == expected
    flat.flags.writeable = False
    assert Evaluate(problem(digits, mlp))(Individual.from_flat(flat, individual.shapes)) == expected


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


@pytest.mark.parametrize("name", BUILT_IN)
def test_bfloat16_does_not_round_the_answers(name):
    model = model_of(reference_of(name), precision="bfloat16")
    outputs = np.asarray(model(np.random.default_rng(0).random((4, *model.input_shape[1:]), np.float32)))
    assert outputs.dtype == np.float32
    assert (outputs != tf.cast(tf.cast(outputs, tf.bfloat16), tf.float32).numpy()).any()
    assert {layer.compute_dtype for layer in model.layers[1:-1] if layer.weights} == {"bfloat16"}


def test_bfloat16_does_not_round_the_answers_of_models_inside():
    dense = [keras.layers.Dense(8, "relu"), keras.layers.Dense(8, "relu")]
    inner = keras.Sequential([keras.Input((5,)), dense[0], keras.layers.Dense(3, name="last")])
    nested = keras.Sequential([keras.Input((5,)), inner, keras.layers.Softmax(), keras.layers.Reshape((3,))])
    model = model_of(reference_of(nested), precision="bfloat16")
    computed = {layer.name: layer.compute_dtype for layer in model._flatten_layers() if layer.weights}
    assert computed["last"] == "float32"
    assert computed[dense[0].name] == "bfloat16"
    assert np.asarray(model(np.ones((2, 5), np.float32))).dtype == np.float32


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ValueError, match="device: TensorFlow sees no GPU"):
        configure_tensorflow(1, "gpu")


def test_a_huge_cross_entropy_is_what_it_is(digits, mlp):
    individual = individual_for(mlp)
    for matrix in individual:
        matrix *= 1e9
    assert 1e15 < Evaluate(problem(digits, mlp))(individual)[0] < WORST


def test_misread_counts_agree_with_numpy_over_all_stretches(digits, mlp):
    individual = individual_for(mlp, seed=2)
    toolbox = make_toolbox("mlp", digits, seed=1, centred=False)
    for split in ("train", "validation", "test"):
        images, labels = digits.part(split)
        expected = (mlp_logits(individual, images).argmax(axis=1) != labels).mean()
        assert toolbox.error_rate(individual, split) == expected


def test_assess_scores_the_first_validation_samples(digits, mlp):
    individual = individual_for(mlp, seed=2)
    toolbox = make_toolbox("mlp", digits, seed=1, validation_size=30, centred=False, stratified=False)
    wrong = mlp_logits(individual, digits.x_validation).argmax(axis=1) != digits.y_validation
    found = toolbox.assess(individual, 4)
    assert found["val_error"] == wrong[:30].mean()
    chosen = batch_indices(1, 4, 64, len(digits.x_train))
    on_batch = mlp_logits(individual, digits.x_train[chosen]).argmax(axis=1) != digits.y_train[chosen]
    assert found["train_error"] == on_batch.mean()


def assessed(problem, individual, size):
    """Return what one call of a small network assesses, and the number of tasks."""
    tasks = []
    found = measures.Assess(problem, size)(
        individual, 4, map=lambda function, given: map(function, tasks.extend(given) or tasks)
    )
    return found, len(tasks)


def test_one_call_assesses_a_small_network_as_slices_do(digits, mlp, monkeypatch):
    individual, images = individual_for(mlp, seed=4), problem(digits, mlp)
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
    monkeypatch.setattr(measures, "is_small", lambda model: False)
    for (found, _), (case, member, size, _) in zip(one_call, cases, strict=True):
        assert found == assessed(case, member, size)[0]
        assert list(found) == ["train_error", "val_error"][: 1 + (size > 0)]


def test_an_error_rate_on_validation_data_is_the_assessment_and_traces_nothing(digits, mlp, monkeypatch):
    individual, scored = individual_for(mlp, seed=4), measures.ErrorRate(problem(digits, mlp))
    forget_all()
    found = measures.Assess(scored.problem, 30)(individual, 4)
    traced = []
    monkeypatch.setattr(network, "traced", lambda *arguments: traced.append(arguments))
    assert scored(individual, "validation", size=30) == found["val_error"]
    sizes = (None, 1, 30, 10_000)
    rates = [scored(individual, "validation", size=size) for size in sizes]
    assert rates[0] == rates[3] != rates[2]
    assert traced == []
    monkeypatch.undo()
    monkeypatch.setattr(measures, "GROUPED_CHUNK", 20)  # then larger parts are scored in slices
    assert rates == [scored(individual, "validation", size=size) for size in sizes]
    with pytest.raises(ValueError, match="size must be at least 1"):
        scored(individual, "validation", size=0)


def test_what_is_no_individual_is_named(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
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


def test_networks_are_forgotten_while_none_is_looked_up(digits, mlp):
    scoring = problem(digits, mlp)
    Scorer(scoring)
    with network._one_at_a_time:
        thread = threading.Thread(target=network.forget_networks)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert network._networks
    thread.join()
    assert not network._networks


def test_the_network_is_traced_once_for_the_fitness_and_once_for_any_part(digits, mlp, monkeypatch):
    traced = []
    outputs = Network._outputs
    monkeypatch.setattr(Network, "_outputs", lambda *arguments: traced.append(1) or outputs(*arguments))
    forget_all()  # another test may have compiled it
    scoring = Scorer(problem(digits, mlp, seed=77))
    made = len(traced)
    individuals = [individual_for(mlp, seed) for seed in range(3)]
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


def test_a_signal_waits_for_what_is_being_traced(digits, mlp, monkeypatch):
    forget_all()
    scoring = Scorer(problem(digits, mlp, seed=78))
    individual, done, outputs = individual_for(mlp, 1), [], Network._outputs

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


@pytest.mark.parametrize("fitness", ["error", "cross_entropy"])
def test_groups_of_any_size_give_the_bits_of_a_single_member(digits, mlp, fitness):
    individuals = [individual_for(mlp, seed) for seed in range(50)]
    individuals[7][3][0] = np.nan
    evaluate = Evaluate(problem(digits, mlp, fitness=fitness), 2)
    assert evaluate.scores_groups
    expected = [evaluate(individual) for individual in individuals]
    genomes = np.stack([individual.flat for individual in individuals])
    for size in (1, 2, 7, 50):
        groups = [evaluate.many(genomes[start : start + size]) for start in range(0, 50, size)]
        assert [values for group in groups for values in group] == expected
    aligned = empty_vector(genomes.size).reshape(genomes.shape)  # TensorFlow reads it as it is
    aligned[:] = genomes
    assert evaluate.many(aligned) == expected
    aligned.flags.writeable = False
    assert evaluate.many(aligned) == expected
    assert not Evaluate(problem(digits, reference_of("mnist_deep"))).scores_groups


def test_aligned_weights_are_read_where_they_are():
    weights = empty_vector(100)
    weights[:] = 1
    for array, shared in ((weights, True), (weights[1:], False)):
        tensor = shared_tensor(array)
        array[0] = 5
        assert tensor.numpy()[0] == (5 if shared else 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_gathered_elements_are_those_at_the_indices(dtype):
    array = np.arange(60).astype(dtype).reshape(10, 3, 2)
    indices = np.array([7, 0, 7, 3])
    for given in (array, array[:, ::-1], array.transpose(0, 2, 1)):
        tensor = gathered_tensor(given, indices)
        assert (tensor.dtype.name, tensor.numpy().tolist()) == (dtype, given[indices].tolist())
    before = gathered_tensor(array, indices)
    array[7] = 0
    assert before.numpy()[0].any()  # a copy: the user's array may change


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mini_batch_copies_no_more_than_itself(order):
    array = np.zeros((100_000, 20), np.float32, order=order)
    tracemalloc.start()
    try:
        gathered_tensor(array, np.arange(64))
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 100
    finally:
        tracemalloc.stop()


def test_mnist_deep_has_the_tutorials_shape():
    layout = layout_of(reference_of("mnist_deep"))
    assert layout.size == 3_274_634
    assert dict(zip(layout.names, layout.shapes, strict=True)) == {
        "conv1/kernel": (5, 5, 1, 32),
        "conv1/bias": (32,),
        "conv2/kernel": (5, 5, 32, 64),
        "conv2/bias": (64,),
        "fc1/kernel": (3136, 1024),
        "fc1/bias": (1024,),
        "fc2/kernel": (1024, 10),
        "fc2/bias": (10,),
    }
    assert layout_of(reference_of("mlp")).shapes == ((784, 64), (64,), (64, 10), (10,))


def test_evaluate_is_small_to_send(digits, mlp):
    evaluate = Evaluate(problem(digits, mlp), 5)
    content = pickle.dumps(evaluate, pickle.HIGHEST_PROTOCOL)
    assert len(content) < 1000
    again = pickle.loads(content)
    individual = individual_for(mlp)
    assert again(individual) == evaluate(individual)
    assert again.generation == 5


def test_an_individual_of_another_shape_raises(digits, mlp):
    with pytest.raises(ValueError, match="individual must have the shapes"):
        Evaluate(problem(digits, mlp))(Individual([np.zeros((784, 64))]))


@pytest.mark.parametrize("last", ["logits", "softmax", "softmax layer"])
def test_a_users_keras_model_with_state_goes_in_and_comes_out(digits, last):
    layers = keras.layers
    tail = {
        "logits": [layers.Dense(10)],
        "softmax": [layers.Dense(10, activation="softmax")],
        "softmax layer": [layers.Dense(10), layers.Softmax()],
    }[last]
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            *tail,
        ],
        name="mine",
    )
    model.layers[2].moving_mean.assign(np.linspace(-1, 1, 8))
    state = [variable.numpy().copy() for variable in model.non_trainable_variables]
    toolbox = make_toolbox(model, digits, seed=1, batch_size=50)
    individual = toolbox.individual()
    assert [np.shape(m) for m in individual] == [tuple(v.shape) for v in model.trainable_variables]
    (fitness,) = toolbox.evaluate(individual)
    assert all(np.array_equal(a, b) for a, b in zip(state, model.non_trainable_variables, strict=True))

    result = trained_model(toolbox.problem.model, individual)
    chosen = batch_indices(1, 0, 50, len(digits.x_train))
    outputs = result.predict(digits.x_train[chosen].reshape(-1, 28, 28, 1) / 255.0, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last == "logits")
    assert fitness == pytest.approx(float(loss(digits.y_train[chosen], outputs)), rel=1e-4)
    assert np.array_equal(result.layers[2].moving_mean, np.linspace(-1, 1, 8, dtype=np.float32))


@pytest.mark.parametrize("probabilities", [True, False])
def test_outputs_show_logits_if_layers_do_not(digits, tmp_path, probabilities):
    layers, last = keras.layers, "softmax" if probabilities else None
    inputs = keras.Input((28, 28))
    flat = layers.Flatten()(inputs)
    outputs = layers.Average()([layers.Dense(10, last)(flat), layers.Dense(10, last)(flat)])
    model = keras.Model(inputs, outputs)
    toolbox = make_toolbox(model, digits, seed=1, batch_size=50)
    individual = toolbox.individual()
    evolved = toolbox.to_model(individual)
    chosen = batch_indices(1, 0, 50, len(digits.x_train))
    outputs = evolved.predict(digits.x_train[chosen] / 255.0, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(loss(digits.y_train[chosen], outputs)), rel=1e-4)
    classes, computed = class_probabilities(toolbox.problem, individual)
    assert np.array_equal(classes, digits.y_validation)
    expected = np.asarray(evolved(digits.x_validation / 255.0), np.float64)
    expected = expected if probabilities else np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    assert np.asarray(computed) == pytest.approx(expected, rel=1e-4)


def test_bad_models_raise():
    with pytest.raises(ValueError, match="one of mnist_deep, lenet5, mlp, got 'cnn'"):
        reference_of("cnn")
    with pytest.raises(TypeError, match="model must be a Keras model"):
        reference_of(3)
    with pytest.raises(ValueError, match="must be built"):
        reference_of(keras.Sequential([keras.layers.Dense(2)], name="unbuilt"))

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    own = Own()
    own(np.zeros((1, 3), np.float32))
    with pytest.raises(TypeError, match="'own' cannot be built again"):
        reference_of(own)
    with pytest.raises(ValueError, match="weights must have the shapes"):
        trained_model(reference_of("mlp"), [np.zeros(3)])


def test_a_model_is_built_again_from_its_reference():
    reference = pickle.loads(pickle.dumps(reference_of(build_model("mlp"))))
    assert reference.config
    assert layout_of(reference) == layout_of(reference_of("mlp"))
    assert model_of(reference).count_params() == 50_890


def test_float_samples_of_any_shape_are_scored_as_they_are():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 5)).astype(np.float64)
    y = (x[:, 0] > 0).astype(int)
    data = Dataset(x[:40], y[:40], x[40:50], y[40:50], x[50:], y[50:])
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    toolbox = make_toolbox(model, data, seed=1, batch_size=40, fitness="error")
    individual = toolbox.individual()
    individual[0][:] = 0
    individual[0][0] = [-1, 1]
    assert toolbox.evaluate(individual) == (0.0,)
    assert toolbox.error_rate(individual, "test") == 0.0


def test_a_model_of_any_length_of_samples_is_scored():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 7, 4)), rng.integers(0, 2, 30)
    layers = [keras.Input((None, 4)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    toolbox = make_toolbox(keras.Sequential(layers), Dataset(x, y, x, y, x, y), seed=1, batch_size=30)
    individual = toolbox.individual()
    kernel, bias = individual
    logits = x.astype(np.float32).mean(axis=1) @ kernel + bias
    assert toolbox.error_rate(individual, "test") == (logits.argmax(axis=1) != y).mean()


def test_data_are_loaded_once_a_process(digits_file, mlp, monkeypatch):
    data = loading.load_dataset("mnist", digits_file)
    assert np.array_equal(data.x_test, made_digits().x_test)
    loaded = []
    monkeypatch.setattr(registry, "HELD", {})
    monkeypatch.setattr(loading, "read_npz", lambda path, read=image_files.read_npz: loaded.append(path) or read(path))
    for generation in range(3):
        Evaluate(problem(data, mlp, seed=99), generation)(individual_for(mlp))
    assert len(loaded) == 1


def test_inputs_by_the_names_of_layers_are_those_of_the_models_own():
    """Names in the form of Keras' own, which are no part of what a compiled network is known by, in another order."""
    names = "input_layer", "input_layer_1"
    x = {name: np.random.default_rng(place).normal(size=(40, 3)) for place, name in enumerate(names)}

    def fitness(*names):
        inputs = {name: keras.Input((3,), name=name) for name in names}
        outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([inputs[name] for name in names]))
        problem = KerasProblem(keras.Model(inputs, outputs), x, np.arange(40) % 2)
        toolbox = make_toolbox(problem, seed=1)
        return toolbox.evaluate(toolbox.individual())

    forget_all()
    first, second = fitness(*names), fitness(*names[::-1])
    forget_all()
    assert second == fitness(*names[::-1]) != first
