"""EvoTorch's GeneticAlgorithm; each child is scored once (neither elitist nor scoring parents again)."""

import common
import numpy as np
import torch
from evotorch import Problem, SolutionBatch
from evotorch.algorithms import GeneticAlgorithm
from evotorch.operators import GaussianMutation, OnePointCrossOver

OPTIONS = common.arguments()
SHAPES = common.SHAPES[OPTIONS.network]
SIZES = [int(np.prod(shape)) for shape in SHAPES]
X, Y = (torch.from_numpy(part) for part in common.digits())
IMAGES = X.permute(0, 3, 1, 2).contiguous()


def cnn(w1, b1, w2, b2, w3, b3, w4, b4):
    h = torch.max_pool2d(torch.relu(torch.conv2d(IMAGES, w1.reshape(32, 1, 5, 5), b1, padding=2)), 2)
    h = torch.max_pool2d(torch.relu(torch.conv2d(h, w2.reshape(64, 32, 5, 5), b2, padding=2)), 2)
    return torch.relu(h.reshape(-1, 3136) @ w3 + b3) @ w4 + b4


def mlp(w1, b1, w2, b2):
    return torch.relu(X.reshape(-1, 784) @ w1 + b1) @ w2 + b2


def misread(genome):
    parts = [part.reshape(shape) for part, shape in zip(torch.split(genome, SIZES), SHAPES, strict=True)]
    outputs = (cnn if OPTIONS.network == "cnn" else mlp)(*parts)
    return (outputs.argmax(dim=1) != Y).to(torch.float32).mean()


class Digits(Problem):
    def __init__(self):
        bound = 0.05
        super().__init__("min", solution_length=sum(SIZES), initial_bounds=(-bound, bound), dtype=torch.float32)

    def _evaluate_batch(self, solutions: SolutionBatch):
        with torch.no_grad():
            if OPTIONS.way == "vmap":
                chunk = 10 if OPTIONS.network == "cnn" else 250
                values = torch.func.vmap(misread, chunk_size=chunk)(solutions.values)
            else:
                values = torch.stack([misread(genome) for genome in solutions.values])
        solutions.set_evals(values)


def main():
    torch.set_num_threads(2)
    problem = Digits()
    operators = [OnePointCrossOver(problem, tournament_size=4), GaussianMutation(problem, stdev=common.SIGMA)]
    ga = GeneticAlgorithm(problem, popsize=OPTIONS.members, operators=operators, elitist=False, re_evaluate=False)
    ga.step()  # scores the initial population too
    common.report(OPTIONS, common.timed(ga.step, OPTIONS.generations), ("evotorch", "torch", "numpy"))


if __name__ == "__main__":
    main()
