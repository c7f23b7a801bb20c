"""Keras models: the built-in models, files of weights, and references by which a worker rebuilds a model."""

from deap_nn.core.optional import lazy

__getattr__, __all__ = lazy(
    __name__,
    {
        "models.built_in": ["BUILT_IN", "build_model"],
        "models.reference": [
            "ModelReference",
            "assign_weights",
            "check_model",
            "layout_of",
            "load_model",
            "model_of",
            "reference_of",
            "release",
            "trained_model",
        ],
        "models.tensorflow": ["configure_tensorflow", "keras", "tf"],
    },
)
