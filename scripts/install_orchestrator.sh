#!/bin/bash
# Installs the orchestrator as a service, upgrades it in place, and removes it. Every step may be done again.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/installation.sh"
. "$here/install/requirements.sh"
. "$here/install/folders.sh"
. "$here/install/certificates.sh"
. "$here/install/pair.sh"
. "$here/install/servers.sh"
. "$here/install/service.sh"
. "$here/install/removal.sh"

usage='Usage: sudo ./scripts/install_orchestrator.sh [OPTIONS]

Installs the service on Debian or Ubuntu, or brings an installation to the version of this folder: configuration and data
stay, and a version that does not start is taken back. Nothing is asked. Options are remembered in config/install.conf:
an upgrade needs none.

  --prefix DIR          where to (default: /opt/sutazaiapp)
  --packages            installs missing packages with apt-get (Redis, PostgreSQL, openssl, logrotate)
  --site NAME           primary or secondary (default: primary)
  --host NAME           name or address that the API listens on, in its certificate too (default: localhost)
  --name NAME           another name or address in the certificate; may stand several times
  --port N              port of the API (default: 8000, secondary: 8010)
  --metrics-port N      port of the metrics (default: 9090)
  --redis-url URL       a Redis of yours, 7.0 or newer; default: one of its own on --redis-port
  --redis-port N        where the own Redis listens, on this machine alone (default: 6390)
  --agents-address IP   address of this machine on which its Redis listens too, for agents on other machines
  --peer IP             makes the first of two sites: the address of the other one. With --agents-address, which is where
                        the other one comes to; writes config/pair/join.tar for it
  --join FILE           makes the second of two sites, from that file; it needs no other option
  --postgres-url URL    a PostgreSQL of yours, 14 or newer; default: a database in that of this machine
  --database NAME       its name (default: orchestrator)
  --node FILE           the node program (default: the one on PATH)
  --split               one service per role instead of one for all
  --no-start            does not start the service
  --uninstall           removes the service and its programs; configuration, keys, logs and data stay
  --purge               with --uninstall: these too, with the database and the users. There is no way back
  --help

Secrets in --redis-url and --postgres-url: rather ORCHESTRATOR_REDIS__URL and ORCHESTRATOR_POSTGRES__URL in the environment,
which the process list does not show.'

prefix=/opt/sutazaiapp
site=
host=
port=
metrics_port=
redis_url=${ORCHESTRATOR_REDIS__URL:-}
redis_port=
agents_address=
peer=
join=
names=()
postgres_url=${ORCHESTRATOR_POSTGRES__URL:-}
database=
node=
packages=no
split=
start=yes
uninstall=no
purge=no
user=orchestrator
redis_changed=no

value_of() { [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 wants a value" "$0 --help" 2; }

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix) value_of "$@"; prefix=$2; shift ;;
      --site) value_of "$@"; site=$2; shift ;;
      --host) value_of "$@"; host=$2; shift ;;
      --port) value_of "$@"; port=$2; shift ;;
      --metrics-port) value_of "$@"; metrics_port=$2; shift ;;
      --redis-url) value_of "$@"; redis_url=$2; shift ;;
      --name) value_of "$@"; names+=("$2"); shift ;;
      --agents-address) value_of "$@"; agents_address=$2; shift ;;
      --peer) value_of "$@"; peer=$2; shift ;;
      --join) value_of "$@"; join=$2; shift ;;
      --redis-port) value_of "$@"; redis_port=$2; shift ;;
      --postgres-url) value_of "$@"; postgres_url=$2; shift ;;
      --database) value_of "$@"; database=$2; shift ;;
      --node) value_of "$@"; node=$2; shift ;;
      --packages) packages=yes ;;
      --split) split=yes ;;
      --no-start) start=no ;;
      --uninstall) uninstall=yes ;;
      --purge) purge=yes ;;
      -h | --help) printf '%s\n' "$usage"; exit 0 ;;
      *) fail "there is no option \"$1\"" "$0 --help" 2 ;;
    esac
    shift
  done
  case $prefix in
    /*/*) ;;
    *) fail "--prefix $prefix: it takes a folder of its own below another one, as an absolute path" '--prefix /opt/sutazaiapp' 2 ;;
  esac
  [[ $prefix =~ ^[A-Za-z0-9/_.-]+$ ]] || fail "--prefix $prefix: letters, digits, _ . - and / only" '--prefix /opt/sutazaiapp' 2
  prefix=${prefix%/}
  recall_options
  [ -z "$join" ] || read_join_file
  site=${site:-primary}
  case $site in
    primary) port=${port:-8000} ;;
    secondary) port=${port:-8010} ;;
    *) fail "--site $site: it is primary or secondary" '' 2 ;;
  esac
  if [ -n "$peer" ]; then host=${host:-$agents_address}; fi
  host=${host:-localhost}
  metrics_port=${metrics_port:-9090}
  redis_port=${redis_port:-6390}
  database=${database:-orchestrator}
  split=${split:-no}
  local number
  for number in "$port" "$metrics_port" "$redis_port"; do
    [[ $number =~ ^[0-9]+$ ]] && [ "$number" -ge 1 ] && [ "$number" -le 65535 ] || fail "\"$number\" is no port" "$0 --help" 2
  done
  [[ $database =~ ^[a-z_][a-z0-9_]{0,62}$ ]] || fail "--database $database: small letters, digits and _" '' 2
  local name
  for name in "$host" "${names[@]}"; do
    [[ $name =~ ^[A-Za-z0-9.:-]{1,253}$ ]] || fail "\"$name\" is no host name or address" '--host and --name take one as api.example.org or 10.0.0.7' 2
  done
  local address='^[0-9]+(\.[0-9]+){3}$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$'
  if [ -n "$agents_address" ]; then
    [[ $agents_address =~ $address ]] || fail "--agents-address $agents_address is no IP address" 'ip -brief address' 2
    [ -z "$redis_url" ] || fail '--agents-address is for the own Redis' 'with --redis-url set [redis] agent_url in orchestrator.toml' 2
  fi
  if [ -n "$peer" ]; then
    [[ $peer =~ $address ]] || fail "--peer $peer is no IP address" 'ip -brief address, at the other machine' 2
    [ -z "$join" ] || fail '--peer makes the first site of two, --join the second one' 'give one of them' 2
    [ -z "$redis_url" ] || fail '--peer is for the own Redis' 'with --redis-url set [peer] in orchestrator.toml' 2
    [ -n "$agents_address" ] || fail "--peer needs the address at which the other site finds this one" "--agents-address IP" 2
    [ "$agents_address" != "$peer" ] || fail "--peer $peer is this site itself" 'name the address of the other machine' 2
  fi
  [ "$purge" = no ] || [ "$uninstall" = yes ] || fail '--purge goes with --uninstall' "$0 --uninstall --purge" 2
}

main() {
  options "$@"
  [ "$(id -u)" = 0 ] || fail 'this needs root' "sudo $0 $*"
  umask 022
  exec 9> /run/lock/supreme-ai-orchestrator.install
  flock -n 9 || fail 'another installation is under way' 'wait for it'
  if [ "$uninstall" = yes ]; then
    remove_installation
    return
  fi
  check_requirements
  say "installs into $prefix"
  make_users
  make_folders
  local before release
  before=$(readlink "$prefix/current" 2> /dev/null || true)
  release=$("$node" "$here/release.mjs" "$prefix/releases") || fail 'the release could not be built' 'what the lines above say'
  secure_release "$prefix/releases/$release"
  make_pair
  make_configuration
  make_certificates
  write_join_file
  make_redis
  admit_peer
  make_database
  switch_release "releases/$release"
  make_units
  set_modes
  if [ "$start" = no ]; then
    say "installed $release; start it with: $prefix/current/scripts/manage_orchestrator.sh start"
    return
  fi
  start_release "$before" "releases/$release"
  drop_old_releases
  say "installed $release, and it serves. What to do next:"
  say '  systemctl status supreme-ai-orchestrator'
  say '  orchestrator token --scope admin'
  say_pair
}

main "$@"
