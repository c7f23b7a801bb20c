"""The wiring of a DEAP toolbox, and its clock."""
