# An installation: where it is, and how its programs run. Sourced by the other scripts; sets `prefix`, `user`.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

# One sentence of what is wrong, one of how to mend it.
fail() {
  say "FAILED: $1"
  [ -z "${2:-}" ] || say "  mend it: $2"
  exit "${3:-1}"
}

# The folder that the install script made: given, or found from where this script stands.
find_installation() {
  local folder
  if [ -n "${ORCHESTRATOR_PREFIX:-}" ]; then
    prefix=$ORCHESTRATOR_PREFIX
    # The programs take every such variable for a setting.
    export -n ORCHESTRATOR_PREFIX
  else
    prefix=/opt/sutazaiapp
    folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
    while [ "$folder" != / ]; do
      if [ -f "$folder/config/orchestrator.env" ]; then
        prefix=$folder
        break
      fi
      folder=$(dirname "$folder")
    done
  fi
  [ -f "$prefix/config/orchestrator.env" ] && [ -e "$prefix/current" ] ||
    fail "nothing is installed in $prefix" 'sudo ./scripts/install_orchestrator.sh, or name the folder: ORCHESTRATOR_PREFIX=/srv/orchestrator'
  user=$(stat -c %U "$prefix/data")
}

with_systemd() { [ -d /run/systemd/system ]; }

# Runs a program of the release as the user of the service, with the settings and secrets that the service has. Secrets
# are handed over in the environment, which only that user and root can read.
run_program() {
  local program=$1 secret name
  shift
  set -a
  # shellcheck source=/dev/null
  . "$prefix/config/orchestrator.env"
  set +a
  export NODE_ENV=production ORCHESTRATOR_CONFIG="$prefix/config/orchestrator.toml" HOME="$prefix/data"
  for secret in "$prefix"/config/secrets/*; do
    [ -f "$secret" ] || continue
    name=$(basename "$secret" | tr 'a-z' 'A-Z')
    export "ORCHESTRATOR_${name/./__}=$(cat "$secret")"
  done
  # The command line comes to the API like any other client.
  if [ "$program" = orchestrator.js ] && [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f "$prefix/config/certs/ca.crt" ]; then
    export NODE_EXTRA_CA_CERTS="$prefix/config/certs/ca.crt"
  fi
  cd "$prefix"
  exec setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all --no-new-privs \
    "$NODE_PROGRAM" "$prefix/current/.build/scripts/$program" "$@"
}
