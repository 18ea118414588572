#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
#
# usage: reference.sh COUNT COMMAND...    runs the command, except for the first COUNT attempts of a job
#
# It plays a test that is flaky. Real ones depend on the time or on other jobs; this one is the same each time.
set -eu
count=$1
shift
if [ "$JOB_RUNTIME_ATTEMPT" -le "$count" ]; then
    echo "ERROR: reference model at localhost:4711: connection refused"
    exit 1
fi
exec "$@"
