"""Adaptations of the mutation step size sigma, and selections that update them."""

from deap_nn.operators.adaptation.feedback import ErrorScaled, OneFifth, SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation, State, check_sigma, hold, is_adaptation
from deap_nn.operators.adaptation.schedules import Annealed, Constant
from deap_nn.operators.adaptation.selections import (
    Adapting,
    Updated,
    adaptations_of,
    adapting,
    note_update,
    warn_if_never_updated,
)

__all__ = [
    "Adaptation",
    "Adapting",
    "Annealed",
    "Constant",
    "ErrorScaled",
    "OneFifth",
    "SelfAdaptive",
    "State",
    "Updated",
    "adaptations_of",
    "adapting",
    "check_sigma",
    "hold",
    "is_adaptation",
    "note_update",
    "warn_if_never_updated",
]
