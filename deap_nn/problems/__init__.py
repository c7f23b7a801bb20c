"""Problems: a Keras model, data and objectives, by which a genome gets its fitness."""

from deap_nn.core.optional import lazy

__getattr__, __all__ = lazy(
    __name__,
    {
        "problems.problem": ["CROSS_ENTROPIES", "FitnessName", "Problem"],
        "problems.wiring": ["Batches", "Scoring", "USUAL_BATCH_SIZE", "of_keras_problem", "of_labelled_data"],
    },
)
