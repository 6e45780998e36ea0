# Users, folders, releases, configuration. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

# Options of earlier runs hold until others are given: an upgrade that forgot one would make another site of this.
remembered='site host port metrics_port redis_port agents_address database split'

recall_options() {
  local file=$prefix/config/install.conf key value
  [ -r "$file" ] || return 0
  while IFS='=' read -r key value; do
    case " $remembered " in
      *" $key "*) [ -n "${!key}" ] || printf -v "$key" %s "$value" ;;
    esac
    case $key=$value in
      names=*) [ ${#names[@]} -gt 0 ] || read -r -a names <<< "$value" ;;
      own_redis=no) redis_url=${redis_url:-$(cat "$prefix/config/secrets/redis.url")} ;;
      own_postgres=no) postgres_url=${postgres_url:-$(cat "$prefix/config/secrets/postgres.url")} ;;
    esac
  done < "$file"
}

remember_options() {
  local key
  {
    echo '# Options of the last installation; the next one takes those that it is not given.'
    for key in $remembered; do printf '%s=%s\n' "$key" "${!key}"; done
    printf 'names=%s\n' "${names[*]}"
    printf 'own_redis=%s\nown_postgres=%s\n' "$([ -z "$redis_url" ] && echo yes || echo no)" "$([ -z "$postgres_url" ] && echo yes || echo no)"
  } > "$prefix/config/install.conf.new"
  mv "$prefix/config/install.conf.new" "$prefix/config/install.conf"
}

# Files of deploy/ name the default folder, port and program; this puts the chosen ones in.
rendered() {
  sed -e "s#/opt/sutazaiapp#$prefix#g" -e "s#/usr/bin/node#$node#g" -e "s#/usr/bin/redis-server#$(command -v redis-server || echo /usr/bin/redis-server)#g" \
    -e "s#^tls-port 6390\$#tls-port $redis_port#" -e "s#primary_server\.port#${site}_server.port#g" "$here/../deploy/$1"
}

make_users() {
  if command -v systemd-sysusers > /dev/null 2>&1; then
    install -d -m 755 /etc/sysusers.d
    rendered sysusers.conf > /etc/sysusers.d/supreme-ai-orchestrator.conf
    systemd-sysusers /etc/sysusers.d/supreme-ai-orchestrator.conf
  else
    local name
    for name in orchestrator orchestrator-redis; do
      id "$name" > /dev/null 2>&1 || useradd --system --user-group --home-dir "$prefix/data" --shell /usr/sbin/nologin "$name"
    done
  fi
}

make_folders() {
  install -d -m 755 "$prefix"
  install -d -m 755 -o root -g root "$prefix/releases"
  install -d -m 750 -o root -g "$user" "$prefix/config" "$prefix/config/certs"
  install -d -m 700 -o root -g root "$prefix/config/secrets"
  install -d -m 711 -o "$user" -g "$user" "$prefix/data"
  install -d -m 700 -o "$user" -g "$user" "$prefix/data/backups"
  install -d -m 700 -o orchestrator-redis -g orchestrator-redis "$prefix/data/redis"
  install -d -m 755 -o "$user" -g "$user" "$prefix/logs"
}

# The programs belong to root: a service that is broken into cannot change them.
secure_release() {
  chown -R "root:$user" "$1"
  find "$1" -type d -exec chmod 750 {} +
  find "$1" -type f ! -name '*.sh' -exec chmod 640 {} +
  find "$1" -type f -name '*.sh' -exec chmod 750 {} +
}

# What the operator wrote is never changed; what the installer decided stands in a file of its own, and wins.
make_configuration() {
  local toml=$prefix/config/orchestrator.toml
  if [ ! -e "$toml" ]; then
    sed -e "/^\[${site}_server\]/,/^\[/ s/^port = .*/port = $port/" -e "/^\[${site}_server\]/,/^\[/ s/^host = .*/host = \"$host\"/" \
      -e '/^# Without these two/,$ d' "$here/../config/orchestrator.toml" > "$toml"
    printf '[metrics]\nport = %s\n' "$metrics_port" >> "$toml"
  fi
  cat > "$prefix/config/orchestrator.env.new" << END
# Written by install_orchestrator.sh at every run; what stands here wins over orchestrator.toml.
NODE_PROGRAM=$node
ORCHESTRATOR_ORCHESTRATOR__SITE=$site
ORCHESTRATOR_DATA__DIRECTORY=$prefix/data
ORCHESTRATOR_LOGGING__DIRECTORY=$prefix/logs
ORCHESTRATOR_TLS__CERTIFICATE_FILE=$prefix/config/certs/server.crt
ORCHESTRATOR_TLS__KEY_FILE=$prefix/config/certs/server.key
$([ -n "$redis_url" ] || printf 'ORCHESTRATOR_REDIS__%s\n' "CA_FILE=$prefix/config/certs/ca.crt" \
    "CERTIFICATE_FILE=$prefix/config/certs/client.crt" "KEY_FILE=$prefix/config/certs/client.key" MANAGE_ACL=true)
$([ -z "$agents_address" ] || printf 'ORCHESTRATOR_REDIS__AGENT_URL=rediss://%s:%s\n' "$(bracketed "$agents_address")" "$redis_port")
$(pair_settings)
END
  mv "$prefix/config/orchestrator.env.new" "$prefix/config/orchestrator.env"
  remember_options
}

bracketed() { case $1 in *:*) printf '[%s]' "$1" ;; *) printf '%s' "$1" ;; esac; }

# One step, so that a service that starts meanwhile finds the one or the other.
switch_release() {
  ln -sfn "$1" "$prefix/current.new"
  mv -T "$prefix/current.new" "$prefix/current"
  [ -e "$prefix/scripts" ] || ln -s current/scripts "$prefix/scripts"
  ln -sfn "$prefix/current/scripts/orchestrator.sh" /usr/local/bin/orchestrator
}

# The present release and the one before it stay.
drop_old_releases() {
  local name kept=0
  for name in $(ls -1t "$prefix/releases"); do
    case $name in
      "$(basename "$(readlink "$prefix/current")")") continue ;;
    esac
    kept=$((kept + 1))
    [ "$kept" -le 1 ] || rm -rf "${prefix:?}/releases/$name"
  done
}

set_modes() {
  install -d -m 755 /etc/tmpfiles.d
  rendered tmpfiles.conf > /etc/tmpfiles.d/supreme-ai-orchestrator.conf
  if command -v systemd-tmpfiles > /dev/null 2>&1; then
    systemd-tmpfiles --create /etc/tmpfiles.d/supreme-ai-orchestrator.conf
  fi
  chown "root:$user" "$prefix/config/orchestrator.toml" "$prefix/config/orchestrator.env"
  chmod 640 "$prefix/config/orchestrator.toml" "$prefix/config/orchestrator.env"
}
