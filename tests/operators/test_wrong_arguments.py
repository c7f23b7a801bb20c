"""Whatever an operator or a public function is given, it works or names the argument that is wrong."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from genomes import OPERATORS
from hypothesis import given
from hypothesis import strategies as st

from deap_nn import Individual, Layout, NoiseTable, WeightList
from deap_nn.core.seeding import stream

SHAPES = ((3, 2), (4,))


def genome(shapes=SHAPES, fitness=0.5, fill=None):
    rng = np.random.default_rng(1)
    made = Individual([rng.standard_normal(shape) if fill is None else np.full(shape, fill) for shape in shapes])
    if fitness is not None:
        made.fitness.values = (fitness,)
    return made


def read_only():
    made = genome()
    made.flat.flags.writeable = False
    for matrix in made:
        matrix.flags.writeable = False
    return made


def rebound():
    """Another dtype and shape, put into an individual past its check."""
    made = genome()
    list.__setitem__(made, 0, np.arange(6, dtype=np.int64).reshape(3, 2))
    return made


NUMBERS = st.sampled_from(
    [
        0,
        1,
        -1,
        0.5,
        1.5,
        1e300,
        float("nan"),
        float("inf"),
        None,
        "1",
        True,
        np.float32(0.3),
        (),
    ]
)
GENOMES = st.sampled_from(
    [
        genome,
        lambda: genome(((2, 3), (4,))),
        lambda: genome(()),
        lambda: genome(((0,),)),
        lambda: genome(fill=float("nan")),
        lambda: genome(fill=float("inf")),
        lambda: genome(fitness=None),
        lambda: WeightList([[1.0, 2.0]]),
        read_only,
        rebound,
        lambda: [np.zeros(3)],
        lambda: [],
        lambda: np.zeros((2, 3)),
        lambda: None,
        lambda: "genome",
        lambda: SimpleNamespace(fitness=None),
    ]
).map(lambda make: make())
POPULATIONS = st.lists(GENOMES, max_size=4) | st.sampled_from([None, 3, "ab", (), np.zeros(3)])
RNGS = st.sampled_from([np.random.default_rng(1), np.random.RandomState(1), None, 1, stream(1, 2)])
SCALES = st.sampled_from([None, [1, 2], [1], [], [1, -1], [1, float("nan")], (0.0, 1.0), "12", 3, np.ones(2)])
NOISES = st.sampled_from(
    [
        None,
        np.zeros(100, np.float32),
        np.zeros(100),
        np.zeros(2, np.float32),
        np.zeros((50, 2), np.float32),
        NoiseTable(1, 50),
        [0.0] * 100,
        "noise",
    ]
)
LAYOUTS = st.sampled_from([Layout(("a", "b"), SHAPES), Layout((), ()), None, SHAPES, "layout"])
CONTAINERS = st.sampled_from([Individual, WeightList, list, None, 3])
ARGUMENTS = {
    "init": {"container": CONTAINERS, "layout": LAYOUTS, "sigma": NUMBERS, "noise": NOISES},
    "cx": {"ind1": GENOMES, "ind2": GENOMES, "indpb": NUMBERS},
    "mut": {"individual": GENOMES, "sigma": NUMBERS, "indpb": NUMBERS, "scale": SCALES, "noise": NOISES},
    "sel": {
        "individuals": POPULATIONS,
        "k": NUMBERS,
        "pressure": NUMBERS,
        "boost": NUMBERS,
        "boosted": NUMBERS,
        "opposites": NUMBERS,
        "parents": NUMBERS,
        "fit_attr": st.sampled_from(["fitness", "value", 3]),
    },
}


def names_an_argument(error, names):
    return any(re.search(rf"\b{name}\b", str(error)) for name in names)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
@given(data=st.data())
def test_an_operator_works_or_names_what_is_wrong(operator, data):
    arguments = dict(ARGUMENTS[operator.kind])
    if operator.name == "initScaled":
        arguments["spread"] = arguments.pop("sigma")
    wrong = data.draw(st.sampled_from([*arguments, "rng"]))
    good = {
        "container": Individual,
        "layout": Layout(("a", "b"), SHAPES),
        "sigma": 0.1,
        "ind1": genome(),
        "ind2": genome(fill=1.0),
        "individual": genome(),
        "individuals": [genome(), genome(fitness=0.1)],
        "k": 2,
    }
    given_ = {name: good[name] for name in arguments if name in good}
    given_["rng"] = np.random.default_rng(1)
    if operator.name == "initAround":
        given_["weights"] = [np.zeros(shape) for shape in SHAPES]
    given_[wrong] = data.draw({**arguments, "rng": RNGS}[wrong])
    result, refusal = [], None
    try:
        result = operator.function(**given_)
    except (ValueError, TypeError) as error:
        refusal = error
    if refusal is not None:
        assert names_an_argument(refusal, given_), (wrong, given_[wrong], refusal)
        return
    if operator.kind in ("cx", "mut"):
        for individual in result:
            assert individual.flat.dtype == np.float32
    if operator.kind == "sel":
        assert len(result) == given_["k"]
