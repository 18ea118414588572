"""What do all batch systems need? Nothing here is specific to one of them."""

from runtime.backend.batch.backend import BatchBackend
from runtime.backend.batch.system import (
    Accepted,
    Array,
    Busy,
    Doubtful,
    Limits,
    Listing,
    Phase,
    Refused,
    Row,
    State,
    System,
    Unanswered,
)

__all__ = (
    "Accepted",
    "Array",
    "BatchBackend",
    "Busy",
    "Doubtful",
    "Limits",
    "Listing",
    "Phase",
    "Refused",
    "Row",
    "State",
    "System",
    "Unanswered",
)
