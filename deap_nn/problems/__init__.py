"""Problems: a Keras model, data and objectives, which give a genome its fitness."""

from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "Batches": "problems.wiring",
    "CROSS_ENTROPIES": "problems.problem",
    "FitnessName": "problems.problem",
    "Problem": "problems.problem",
    "Scoring": "problems.wiring",
    "USUAL_BATCH_SIZE": "problems.wiring",
    "of_keras_problem": "problems.wiring",
    "of_labelled_data": "problems.wiring",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    return lazy(__name__, _PLACES, name)
