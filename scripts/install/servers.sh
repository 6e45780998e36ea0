# Redis and PostgreSQL of the service. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

# Appears whole, closed to everybody but root.
put_secret() {
  (umask 077 && printf '%s\n' "$2" > "$prefix/config/secrets/$1.new")
  mv "$prefix/config/secrets/$1.new" "$prefix/config/secrets/$1"
}

make_redis() {
  local data=$prefix/data/redis password asked=optional
  if [ -n "$redis_url" ]; then
    put_secret redis.url "$redis_url"
    return
  fi
  # Whether agents have to show a certificate is the operator's word.
  grep -qs '^tls-auth-clients yes' "$data/redis.conf" && asked=yes
  rendered redis.conf | sed "s#^bind .*#& $agents_address#; s#^tls-auth-clients .*#tls-auth-clients $asked#; s# *\$##" > "$data/redis.conf.new"
  cmp -s "$data/redis.conf.new" "$data/redis.conf" || redis_changed=yes
  mv "$data/redis.conf.new" "$data/redis.conf"
  # A new password at every installation, but never under a running service: only when there is none yet.
  if [ ! -s "$data/users.acl" ] || [ ! -s "$prefix/config/secrets/redis.url" ]; then
    password=$(openssl rand -hex 32)
    # The default user cannot sign in, but keeps its rights: Redis reads its append-only file back under its name, and would
    # leave out every transaction that this user may not do.
    (umask 077 && printf 'user default off resetpass sanitize-payload ~* &* +@all\nuser orchestrator on #%s sanitize-payload ~* &* +@all\n' \
      "$(printf %s "$password" | openssl dgst -sha256 -r | cut -d ' ' -f 1)" > "$data/users.acl")
    put_secret redis.url "rediss://orchestrator:$password@localhost:$redis_port"
  fi
  sed -i "s#localhost:[0-9]*\$#localhost:$redis_port#" "$prefix/config/secrets/redis.url"
  chown orchestrator-redis:orchestrator-redis "$data/redis.conf" "$data/users.acl"
  chmod 600 "$data/redis.conf" "$data/users.acl"
}

# The service signs in through the socket of the machine as the user that it runs as: there is no password to lose.
make_database() {
  if [ -n "$postgres_url" ]; then
    put_secret postgres.url "$postgres_url"
    return
  fi
  local folder server_port
  [ "$(as_postgres -c "SELECT 1 FROM pg_roles WHERE rolname = '$user'")" = 1 ] ||
    as_postgres -c "CREATE ROLE $user LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
  [ "$(as_postgres -c "SELECT 1 FROM pg_database WHERE datname = '$database'")" = 1 ] ||
    as_postgres -c "CREATE DATABASE $database OWNER $user ENCODING 'UTF8' TEMPLATE template0"
  as_postgres -c "REVOKE ALL ON DATABASE $database FROM PUBLIC"
  folder=$(as_postgres -c 'SHOW unix_socket_directories' | cut -d , -f 1)
  server_port=$(as_postgres -c 'SHOW port')
  setpriv --reuid "$user" --regid "$user" --init-groups psql -XtAq -h "$folder" -p "$server_port" -d "$database" -c 'SELECT 1' > /dev/null ||
    fail "PostgreSQL does not let the user $user into the database $database" \
      "pg_hba.conf needs the line: local $database $user peer; then: systemctl reload postgresql"
  put_secret postgres.url "postgres://$user@localhost:$server_port/$database?host=$folder"
}
