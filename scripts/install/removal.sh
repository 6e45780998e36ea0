# Removes the service. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

remove_installation() {
  local unit
  if [ ! -e "$prefix/current" ] && [ ! -e "$prefix/config/orchestrator.env" ] && [ "$purge" = no ]; then
    say "nothing is installed in $prefix"
    return
  fi
  if with_systemd; then
    for unit in $(systemctl list-units --all --plain --no-legend 'supreme-ai-orchestrator*.service' | awk '{print $1}' | sort -r); do
      systemctl disable --quiet --now "$unit" 2> /dev/null || systemctl stop "$unit"
    done
  elif [ -e "$prefix/current" ]; then
    "$prefix/current/scripts/manage_orchestrator.sh" stop
  fi
  rm -f /etc/systemd/system/supreme-ai-orchestrator*.service /etc/systemd/system/multi-user.target.wants/supreme-ai-orchestrator*.service \
    /etc/logrotate.d/supreme-ai-orchestrator /etc/tmpfiles.d/supreme-ai-orchestrator.conf /etc/sysusers.d/supreme-ai-orchestrator.conf \
    /usr/local/bin/orchestrator
  if with_systemd; then
    systemctl daemon-reload
    systemctl reset-failed 'supreme-ai-orchestrator*' 2> /dev/null || true
  fi
  rm -rf "$prefix/releases" "$prefix/current"
  [ ! -L "$prefix/scripts" ] || rm "$prefix/scripts"
  if [ "$purge" = no ]; then
    say "removed; configuration, keys, logs and data stay in $prefix, and the database $database"
    return
  fi
  purge_data
  say 'removed, with configuration, keys, logs, data, database and users'
}

purge_data() {
  local name
  if [ -s "$prefix/config/secrets/postgres.url" ] && grep -q 'host=/' "$prefix/config/secrets/postgres.url"; then
    database=$(sed -n 's#.*/\([a-z0-9_]*\)?host=.*#\1#p' "$prefix/config/secrets/postgres.url")
    if command -v psql > /dev/null 2>&1 && as_postgres -c 'SELECT 1' > /dev/null 2>&1; then
      as_postgres -c "DROP DATABASE IF EXISTS $database"
      as_postgres -c "DROP ROLE IF EXISTS $user"
    else
      say "WARNING: PostgreSQL does not answer: the database $database and the role $user stay"
    fi
  fi
  # A clone that was installed in place is the operator's own: only what the installation made goes.
  rm -rf "$prefix/data" "$prefix/logs" "$prefix/config/secrets" "$prefix/config/certs" "$prefix/config/pair" "$prefix/config/orchestrator.env" "$prefix/config/install.conf"
  [ -d "$prefix/.git" ] || rm -rf "${prefix:?}/config"
  rmdir --ignore-fail-on-non-empty "$prefix"
  for name in orchestrator orchestrator-redis; do
    if id "$name" > /dev/null 2>&1; then userdel "$name" 2> /dev/null || say "WARNING: the user $name could not be removed"; fi
  done
}
