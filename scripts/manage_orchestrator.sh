#!/bin/bash
# Manages an installation: through systemd where it runs, otherwise through pid files.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/installation.sh"

usage='Usage: manage_orchestrator.sh COMMAND

  start     starts the service and waits until it serves
  stop      lets it finish what is under way, and ends it
  restart   both
  status    what runs; exit code 0 if all of it does, 3 if not
  logs      the log; takes the options of journalctl, as: logs -f, logs -n 200
  reload    takes over a changed configuration, keys and certificates; no request is dropped
  promote   makes this site the active one
  backup    writes a backup; takes the arguments of: orchestrator backup
  restore   restores one; takes the arguments of: orchestrator restore
  certificate   makes NAME.crt and NAME.key in this folder, for an agent: certificate worker-1

The installation is found from where this script stands, or named: ORCHESTRATOR_PREFIX=/srv/orchestrator'

main() {
  local command=${1:-}
  [ $# = 0 ] || shift
  case $command in
    start | stop | restart | reload | promote | backup | restore | certificate)
      [ "$(id -u)" = 0 ] || fail "$command needs root" "sudo $0 $command"
      ;;
    status | logs) ;;
    -h | --help | help)
      printf '%s\n' "$usage"
      exit 0
      ;;
    '') say "$usage"; exit 2 ;;
    *) fail "there is no command \"$command\"" "$0 --help" 2 ;;
  esac
  find_installation
  case $command in
    promote) run_program orchestrator.js site promote "$@" ;;
    certificate)
      certificate "$@"
      return
      ;;
    backup | restore) run_program orchestrator.js "$command" "$@" ;;
  esac
  if with_systemd; then
    "systemd_$command" "$@"
  else
    . "$(dirname "$(readlink -f "$0")")/pidfiles.sh"
    "pid_$command" "$@"
  fi
}

# What an agent shows to a Redis that asks its clients for a certificate: signed by the CA of the installation.
certificate() {
  local name=${1:-} certs=$prefix/config/certs
  [[ $# = 1 && $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$ ]] ||
    fail 'certificate takes one name: letters, digits and . _ -, 40 at most' "$0 certificate worker-1" 2
  [ ! -e "$name.crt" ] && [ ! -e "$name.key" ] || fail "$name.crt or $name.key is here already" 'move them away, or choose another folder'
  [ -s "$certs/ca.key" ] || fail "there is no $certs/ca.key" 'these certificates come from another CA; let that one sign'
  . "$(dirname "$(readlink -f "$0")")/install/certificates.sh"
  issued "$certs" "$PWD/$name" "$name" clientAuth "DNS:$name"
}

# The services that were chosen for this machine: all roles in one, or one per role.
units() {
  local enabled
  enabled=$(systemctl list-units --all --plain --no-legend 'supreme-ai-orchestrator*.service' | awk '{print $1}' |
    grep -v -- -redis.service || true)
  printf '%s\n' "${enabled:-supreme-ai-orchestrator.service}"
}

systemd_start() {
  local unit
  for unit in $(units); do
    systemctl start "$unit" || explain "$unit"
  done
  say 'started'
}

systemd_stop() {
  # shellcheck disable=SC2046 -- one word per unit
  systemctl stop $(units)
  say 'stopped'
}

systemd_restart() {
  local unit
  for unit in $(units); do
    systemctl restart "$unit" || explain "$unit"
  done
  say 'restarted'
}

systemd_reload() {
  # shellcheck disable=SC2046 -- one word per unit
  systemctl reload $(units)
  say 'reloaded; the log says what was taken over'
}

systemd_status() {
  local unit running=0
  for unit in $(units) supreme-ai-orchestrator-redis.service; do
    systemctl cat "$unit" > /dev/null 2>&1 || continue
    systemctl --no-pager --lines=3 status "$unit" || running=3
  done
  return "$running"
}

systemd_logs() {
  [ $# -gt 0 ] || set -- -n 100
  journalctl --no-hostname -o cat -u 'supreme-ai-orchestrator*' "$@"
}

explain() {
  say "$1 did not start. Its last words:"
  journalctl --no-pager -o cat -n 15 -u "$1" >&2 || true
  fail "$1 did not start" "what the lines above say; more: journalctl -u $1, and orchestrator doctor"
}

main "$@"
