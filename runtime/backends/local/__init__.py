"""Jobs as processes of this machine."""

from runtime.backends.local.backend import LocalBackend

__all__ = ("LocalBackend",)
