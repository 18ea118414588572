"""`LocalBackend`: runs jobs as processes of this machine."""

from runtime.backend.local.backend import LocalBackend

__all__ = ("LocalBackend",)
