"""Random job files. Does the published schema take those that the loader takes, and no others?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.campaigns import Campaign
from tests.jobfile.random_files import compare


def run(seed: int, count: int) -> str:
    """Raise at the first file that only one of the two takes."""
    with tempfile.TemporaryDirectory(prefix="job-files-") as directory:
        seen = compare(Path(directory), seed, count)
    return ", ".join(f"{number} {what}" for what, number in sorted(seen.items()))


CAMPAIGN = Campaign("job-files", "do the schema of job files and the loader take the same files?", 20_000, run)
