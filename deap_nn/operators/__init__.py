"""Crossover, mutation, selection and initialisation, in DEAP's form, and adaptations of sigma."""
