"""A fixture for the conformance suite whose backends contain whole trees."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.backend.local import LocalBackend
from runtime.process.shim import Shim
from runtime.testing.fixture import BackendFixture
from tests.backend.local_jobs import LocalKit, alive


class TreeKit(LocalKit):
    """Makes fixtures of a `LocalBackend` that contains trees, in a directory."""

    def __call__(self) -> BackendFixture:
        message = Shim._message

        def message_or_be_busy(
            shim: Shim, argv: Sequence[str], exports: Mapping[str, str], *rest: Any
        ) -> tuple[int, bytes]:
            if exports.get("BUSY") in self._busy:
                self._busy.remove(exports["BUSY"])
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return message(shim, argv, exports, *rest)

        self._patch.setattr(Shim, "_message", message_or_be_busy)
        backend = LocalBackend(
            run_dir=self._directory / uuid.uuid4().hex, max_parallelism=0, term_timeout=1, containment="tree"
        )
        return BackendFixture(backend, self.job, alive=lambda job_id: alive(self._token(job_id)))
