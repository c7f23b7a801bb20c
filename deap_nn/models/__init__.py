"""Keras models: the built-in models, files of weights, and references by which a worker rebuilds a model."""
