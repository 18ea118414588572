"""`DEFAULT_KINDS`: what simulators say when they have no licence, or have crashed. Each pattern has its source.

A pattern is in here if somebody has published the message, and if the tool ends after it. What a tool says before it
waits for a licence is not: the design may still fail in such a run, and that must not look like a missing licence. So
VCS's ``licensed number of users already reached`` is for the job files of those whose tools do not wait. Nor is the end
of a simulation by a signal: code that the simulation calls, which belongs to the design, may have caused it.
"""

from __future__ import annotations

from typing import Final

from runtime.job.kinds import Kinds

DEFAULT_KINDS: Final = Kinds(
    {
        "licence": [
            # VCS: "Fatal License Error." as a line of its own.
            # https://github.com/edaplayground/eda-playground/issues/34
            r"^Fatal License Error\.",
            # Xcelium: "xmsim: *F,NOLICN: Unable to checkout license for the simulation. 'lic_error -5'."
            # https://github.com/lowRISC/opentitan/issues/1820
            r"^(?:xm|nc)\w+: \*F,NOLICN\b",
            # Questa and ModelSim: "Unable to checkout a license.  Vsim is closing."
            # https://github.com/logisim-evolution/logisim-evolution/issues/1442
            r"^(?:# )?Unable to checkout a license\. +Vsim is closing",
        ],
        "tool_crash": [
            # Xcelium: "xmelab: *F,INTERR: INTERNAL EXCEPTION", an error of the tool itself.
            # https://github.com/openhwgroup/cva6/issues/3127
            r"^(?:xm|nc)\w+: \*F,INTERR: INTERNAL EXCEPTION",
            # Questa: "** Fatal: Unexpected signal: 11." of the compiler.
            # https://github.com/VUnit/vunit/issues/981 and https://github.com/pulp-platform/axi/issues/367
            r"^(?:# )?\*\* Fatal: Unexpected signal: \d+\.",
            # Verilator, by its own program for errors: "%Error: Verilator internal fault, sorry.  Consider trying ..."
            # https://github.com/verilator/verilator/issues/911
            r"^%Error: Verilator internal fault",
            # Verilator: "%Error: Internal Error: file.v:8:27: ../V3Broken.cpp:168: Broken link in node"
            # https://github.com/verilator/verilator/issues/5312
            r"^%Error: Internal Error: ",
        ],
    }
)
"""The kinds that a job file has, unless it says ``defaults = false``."""
