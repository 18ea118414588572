"""What do all batch systems need? Nothing here is specific to one of them."""

from runtime.backend.batch.backend import BatchBackend
from runtime.backend.batch.system import (
    Accepted,
    Array,
    Doubtful,
    Limits,
    Phase,
    QueueFull,
    QueueListing,
    QueueRow,
    Refused,
    State,
    System,
    Unanswered,
)

__all__ = (
    "Accepted",
    "Array",
    "BatchBackend",
    "Doubtful",
    "Limits",
    "Phase",
    "QueueFull",
    "QueueListing",
    "QueueRow",
    "Refused",
    "State",
    "System",
    "Unanswered",
)
