#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
#
# usage: licence.sh DIRECTORY COUNT COMMAND...
#
# Runs the command with one of COUNT licences, or refuses, as a licence server does. A licence is a lock on a file in
# DIRECTORY, which the system releases when the command has ended, however it ends.
set -eu
directory=$1
count=$2
shift 2
mkdir -p "$directory"
number=1
while [ "$number" -le "$count" ]; do
    exec 9>"$directory/$number"
    if flock -n 9; then
        exec "$@"
    fi
    number=$((number + 1))
done
echo "Licensed number of users already reached. (-4,342)"
echo "Feature: hub_gates, licences: $count"
exit 1
