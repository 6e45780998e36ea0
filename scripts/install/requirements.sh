# What the machine has to have. All that is missing is named at once. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

problems=0
missing_packages=()

problem() {
  problems=$((problems + 1))
  say "MISSING: $1"
  say "  mend it: $2"
}

# True when version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Looks for a program; a missing one is installed with --packages, else named.
program() {
  local name=$1 package=$2
  command -v "$name" > /dev/null 2>&1 && return 0
  missing_packages+=("$package")
  return 1
}

check_requirements() {
  check_system
  check_node
  program openssl openssl || true
  program setpriv util-linux || true
  [ -n "$redis_url" ] || program redis-server redis-server || true
  [ -n "$postgres_url" ] || program psql postgresql || true
  program logrotate logrotate || true
  if [ ${#missing_packages[@]} -gt 0 ]; then install_packages; fi
  [ -n "$redis_url" ] || check_redis
  [ -n "$postgres_url" ] || check_postgres
  [ "$problems" = 0 ] || fail "$problems thing(s) are missing; nothing was changed"
}

check_system() {
  local id='' like=''
  if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && printf '%s' "${ID:-}")
    like=$(. /etc/os-release && printf '%s' "${ID_LIKE:-}")
  fi
  case " $id $like " in
    *' debian '* | *' ubuntu '*) ;;
    *) problem "this system is \"${id:-unknown}\"" 'install on Debian or Ubuntu; elsewhere start it with npm start, see README.md' ;;
  esac
}

check_node() {
  local version remedy='install Node 20.19 or newer, as from https://nodejs.org or nodesource, or name it: --node /usr/local/bin/node'
  node=${node:-$(command -v node || true)}
  if [ -z "$node" ] || ! version=$("$node" --version 2> /dev/null); then
    problem 'there is no Node' "$remedy"
    return
  fi
  node=$(readlink -f "$node")
  at_least "${version#v}" 20.19.0 || problem "Node ${version#v} in $node is too old: 20.19 or newer is needed" "$remedy"
  case $node in
    /home/* | /root/*) problem "$node is in a home folder, which services cannot see" "$remedy" ;;
  esac
}

install_packages() {
  local list="${missing_packages[*]}" fresh_redis=no
  if [ "$packages" = no ]; then
    case $list in
      logrotate)
        say 'WARNING: logrotate is not installed, so the log files are not rotated; mend it: apt-get install logrotate'
        return
        ;;
    esac
    problem "these packages are not installed: $list" "apt-get install $list, or start this again with --packages"
    return
  fi
  case $list in *redis-server*) fresh_redis=yes ;; esac
  say "installs packages: $list"
  apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing_packages[@]}" >&2 ||
    problem "apt-get could not install $list" 'what its lines above say: the network, /etc/apt/sources.list'
  # The package starts a Redis for everybody; the service brings its own.
  if [ "$fresh_redis" = yes ] && with_systemd; then systemctl disable --now --quiet redis-server.service || true; fi
}

check_redis() {
  local version
  command -v redis-server > /dev/null 2>&1 || return 0
  version=$(redis-server --version 2> /dev/null | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
  at_least "${version:-0}" 7.0.0 ||
    problem "Redis ${version:-of an unknown version} is too old: streams are in Redis since 5, the functions that this needs since 7.0" \
      'install a newer redis-server (Debian 12 has 7.0, packages.redis.io has it for others), or name another server: --redis-url'
}

check_postgres() {
  local version
  command -v psql > /dev/null 2>&1 || return 0
  if with_systemd; then systemctl start postgresql.service 2> /dev/null || true; fi
  if ! version=$(as_postgres -c 'SHOW server_version_num'); then
    problem 'the PostgreSQL of this machine does not answer' \
      'pg_lsclusters shows what is there, pg_ctlcluster VERSION main start starts it; or name another server: --postgres-url'
    return
  fi
  [ "$version" -ge 140000 ] ||
    problem "PostgreSQL $((version / 10000)) is too old: 14 or newer is needed" 'install a newer one, or name another server: --postgres-url'
}

# As the superuser of the machine's own server, through its socket.
as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --init-groups psql -XtAq -v ON_ERROR_STOP=1 "$@"); }
