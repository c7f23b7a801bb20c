"""The wiring of a DEAP toolbox, and the clock that counts its generations."""
