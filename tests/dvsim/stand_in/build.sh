#!/bin/sh
# build.sh DIRECTORY [OPTIONS]: compiles the simulator into a directory.
set -eu
directory=$1; shift
mkdir -p "$directory"
"${CXX:-c++}" "$@" -o "$directory/simulator" "$(dirname "$0")/fifo.cpp"
