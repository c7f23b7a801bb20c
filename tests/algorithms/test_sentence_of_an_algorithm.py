"""The sentence that names an algorithm: its crossover, mutation and selection as they are registered."""

import pytest
from deap import tools
from wirings import cx_rows

from deap_nn import ES, GA, Article, SelfAdaptive, elementwise, evolve, make_toolbox
from deap_nn.operators.describe import describe_algorithm


def test_verbose_prints_the_algorithm_and_the_stream(digits, capsys):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    evolve(toolbox.population(n=12), toolbox, 2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "genetic algorithm (ga): four parents crossed by a random mask (cxScanning), Gaussian mutation whose sigma is "
        "0.128 times the error of the best, from its cross-entropy (mutGaussianAdaptive), selection by rank of the "
        "best 5 and the opposites of the worst 5 with pressure 1.5, the best boosted by 2 (selRankBoosted), parents "
        "moved along the inputs of dense layers, founders related by a spread of 0.5, scored with centred layers on "
        "stratified mini-batches"
    )
    assert lines[1].split("\t")[0].strip() == "gen"
    assert [line.split("\t")[0].strip() for line in lines[2:]] == ["0", "1", "2"]
    evolve(toolbox.population(n=12), toolbox, 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (
            ES(),
            "evolution strategy (es): children of one centre, which moves towards the best 6 of 12",
        ),
        (Article(), "genetic algorithm (article): two parents crossed by a 0/1 mask (cxMask)"),
        (GA(crossover="units"), "two parents crossed (cxUnits)"),
        (GA(crossover="none"), "no crossover"),
        (GA(sigma=0.2, schedule="constant"), "Gaussian mutation whose sigma is 0.2 (mutGaussianAdaptive)"),
        (
            GA(sigma=SelfAdaptive(0.1, 0.005)),
            "each member's own, from 0.1 and at least 0.005 (self-adaptive)",
        ),
        (GA(), "(selRankBoosted), parents moved along the inputs of dense layers, founders related by a spread of 0.5"),
        (GA(projected=False), "(selRankBoosted), founders related by a spread of 0.5"),
        (ES(), "by the size of the run, projected onto the inputs of dense layers, Gaussian"),
        (GA(), ", scored with centred layers on stratified mini-batches"),
        (Article(centred=True), ", scored with centred layers"),
        (ES(centred=False), ", scored on stratified mini-batches"),
    ],
)
def test_the_sentence_names_what_runs(digits, algorithm, said):
    assert said in describe_algorithm(make_toolbox("mlp", digits, algorithm, seed=1, batch_size=16), 12)


def test_the_sentence_names_a_function_of_a_users_own(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", cx_rows)
    toolbox.register("mutate", elementwise(tools.mutShuffleIndexes), indpb=0.5)
    said = describe_algorithm(toolbox, 12)
    mutation = "mutation by mutShuffleIndexes, weight by weight"
    assert (
        f"two parents crossed (cx_rows), {mutation}, selection by rank of the best 5 and the opposites of the worst 5"
        in said
    )
