"""Adaptations of the mutation step size sigma, and selections that update them."""
