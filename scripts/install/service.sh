# Unit files, log rotation, start, and the way back. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

units_folder=/etc/systemd/system

make_units() {
  local file
  install -d -m 755 "$units_folder"
  for file in "$here"/../deploy/systemd/*.service; do
    file=$(basename "$file")
    case $file in
      *-redis.service) [ -z "$redis_url" ] || continue ;;
    esac
    rendered "systemd/$file" | with_peer > "$units_folder/$file"
    chmod 644 "$units_folder/$file"
  done
  if [ -d /etc/logrotate.d ]; then
    rendered logrotate.conf > /etc/logrotate.d/supreme-ai-orchestrator
    chmod 644 /etc/logrotate.d/supreme-ai-orchestrator
  fi
  if with_systemd; then systemctl daemon-reload; fi
}

# A unit that names a file which is not there does not start: so this one only where there is a pair.
with_peer() {
  if is_pair; then sed "s#^LoadCredential=redis.url:.*#&\nLoadCredential=peer.redis:$prefix/config/secrets/peer.redis#"; else cat; fi
}

chosen_units() {
  if [ "$split" = yes ]; then
    printf '%s\n' "supreme-ai-orchestrator-runtime@$metrics_port.service" "supreme-ai-orchestrator-api@$port.service"
  else
    printf '%s\n' supreme-ai-orchestrator.service
  fi
}

# Starts the new release, or restarts what runs if anything has changed. One that does not start is taken back.
start_release() {
  local before=$1 after=$2 unit
  if ! with_systemd; then
    "$prefix/current/scripts/manage_orchestrator.sh" restart
    return
  fi
  [ -n "$redis_url" ] || systemctl enable --quiet --now supreme-ai-orchestrator-redis.service ||
    fail 'its Redis did not start' "journalctl -u supreme-ai-orchestrator-redis; is port $redis_port taken? --redis-port takes another one"
  # It reads certificates and settings at its start alone; what was acknowledged is on the disk, and everybody connects again.
  if [ "$redis_changed" = yes ] && [ -n "$before" ] && [ -z "$redis_url" ]; then
    systemctl restart supreme-ai-orchestrator-redis.service
  fi
  if [ "$split" = yes ]; then
    systemctl disable --quiet --now supreme-ai-orchestrator.service
  fi
  for unit in $(chosen_units); do
    systemctl enable --quiet "$unit"
    # A repeated installation of the same release disturbs nobody.
    if [ "$before" = "$after" ] && systemctl is-active --quiet "$unit"; then
      systemctl reload "$unit"
      continue
    fi
    systemctl restart "$unit" && continue
    say "$unit did not start. Its last words:"
    journalctl --no-pager -o cat -n 15 -u "$unit" >&2 || true
    take_back "$before" "$unit"
  done
}

take_back() {
  local before=$1 unit=$2
  if [ -z "$before" ] || [ ! -d "$prefix/$before" ] || [ "$before" = "$(readlink "$prefix/current")" ]; then
    systemctl stop "$unit"
    fail 'the service did not start' "what the lines above say, then: systemctl start $unit"
  fi
  switch_release "$before"
  systemctl restart "$unit" ||
    fail "neither the new release nor the former one ($before) starts" "journalctl -u $unit; a database that was migrated needs the new one"
  fail "the new release did not start, so the former one ($before) serves again" 'what the lines above say, then install again'
}
