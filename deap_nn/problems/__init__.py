"""Problems: a Keras model, data and objectives, by which a genome gets its fitness."""
