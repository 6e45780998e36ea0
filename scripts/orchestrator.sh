#!/bin/bash
# orchestrator COMMAND: the command line of an installation, run as the user of the service. Installed as `orchestrator`.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/installation.sh"
[ "$(id -u)" = 0 ] || fail 'the settings and secrets of the service are closed to you' "sudo orchestrator $*"
find_installation
run_program orchestrator.js "$@"
