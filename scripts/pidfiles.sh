# The service without systemd: one process for all roles and its Redis, each with a pid file that root alone can write.
# Nothing watches over them; a machine with systemd is the better place. Sourced by manage_orchestrator.sh.
# shellcheck shell=bash

pid_folder=/run/supreme-ai-orchestrator
stop_seconds_max=60

# Prints the process id when the process of the pid file runs; a number that belongs to another program by now does not count.
pid_of() {
  local file=$pid_folder/$1.pid pid
  [ -r "$file" ] || return 1
  pid=$(cat "$file")
  grep -qaF "$prefix" "/proc/$pid/cmdline" 2> /dev/null || return 1
  printf '%s\n' "$pid"
}

setting() { run_program orchestrator.js config print | awk -v section="[$1]" -v key="$2" '$0 == section { in_it = 1; next } /^\[/ { in_it = 0 } in_it && $1 == key { gsub(/"/, "", $3); print $3 }'; }

pid_start() {
  local pid site host port log=$prefix/logs/console.log waited=0
  if pid=$(pid_of orchestrator); then
    say "runs already, process $pid"
    return
  fi
  install -d -m 755 "$pid_folder"
  if [ -f "$prefix/data/redis/redis.conf" ] && ! pid_of redis > /dev/null; then
    setsid setpriv --reuid orchestrator-redis --regid orchestrator-redis --init-groups --inh-caps=-all --no-new-privs \
      redis-server "$prefix/data/redis/redis.conf" --daemonize no --set-proc-title no < /dev/null >> "$prefix/logs/redis.log" 2>&1 &
    echo $! > "$pid_folder/redis.pid"
  fi
  site=$(setting orchestrator site)
  host=$(setting "${site}_server" host)
  port=$(setting "${site}_server" port)
  (run_program main.js) < /dev/null >> "$log" 2>&1 &
  echo $! > "$pid_folder/orchestrator.pid"
  disown -a
  until (exec 3<> "/dev/tcp/$host/$port") 2> /dev/null; do
    if ! pid_of orchestrator > /dev/null || [ "$waited" -ge 300 ]; then
      tail -n 15 "$log" >&2
      fail 'it did not start; its last words are above' "what they say; the whole log is $log"
    fi
    waited=$((waited + 1))
    sleep 0.2
  done
  say "started, process $(pid_of orchestrator)"
}

pid_stop() {
  local name pid waited
  for name in orchestrator redis; do
    pid=$(pid_of "$name") || continue
    kill -TERM "$pid"
    waited=0
    while [ -e "/proc/$pid" ]; do
      if [ "$waited" -ge $((stop_seconds_max * 5)) ]; then
        say "$name does not end; it is killed"
        kill -KILL "$pid"
      fi
      waited=$((waited + 1))
      sleep 0.2
    done
    rm -f "$pid_folder/$name.pid"
  done
  say 'stopped'
}

pid_restart() {
  pid_stop
  pid_start
}

pid_reload() {
  local pid
  pid=$(pid_of orchestrator) || fail 'it does not run' "$0 start"
  kill -HUP "$pid"
  say 'reloaded; the log says what was taken over'
}

pid_status() {
  local name pid running=0
  for name in orchestrator redis; do
    if pid=$(pid_of "$name"); then
      printf '%s runs, process %s\n' "$name" "$pid"
    elif [ "$name" = orchestrator ] || [ -f "$prefix/data/redis/redis.conf" ]; then
      printf '%s does not run\n' "$name"
      running=3
    fi
  done
  return "$running"
}

pid_logs() {
  [ $# -gt 0 ] || set -- -n 100
  tail "$@" "$prefix/logs/orchestrator.log" "$prefix/logs/console.log"
}
