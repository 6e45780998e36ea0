# Two sites: what the first one hands to the second, and what each is told of the other. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

# One line per value, the same at both sites; the passwords are those of the users with which the sites read each other's Redis.
pair_value() { sed -n "s/^$1=//p" "$prefix/config/pair/pair.conf"; }

is_pair() { [ -s "$prefix/config/pair/pair.conf" ]; }

other_site() { [ "$site" = primary ] && echo secondary || echo primary; }

# What the folder from the other site says of this machine stands for options that were not given.
read_join_file() {
  local listed
  listed=$(tar -tf "$join" 2> /dev/null | sort | paste -s -d ' ') ||
    fail "$join cannot be read" "the first site writes it: $prefix/config/pair/join.tar" 2
  [ "$listed" = 'ca.crt ca.key pair.conf secret' ] ||
    fail "$join is not what a first site writes" "it is $prefix/config/pair/join.tar there; copy it again" 2
  local name key
  joined() { tar -xOf "$join" pair.conf | sed -n "s/^$1=//p"; }
  name=$(joined joins)
  [ -z "$site" ] || [ "$site" = "$name" ] || fail "$join is for the $name site, and --site says $site" 'leave --site away' 2
  site=$name
  for key in port redis_port; do [ -n "${!key}" ] || printf -v "$key" %s "$(joined "${name}_$key")"; done
  host=${host:-$(joined "${name}_address")}
  agents_address=${agents_address:-$(joined "${name}_address")}
  [ "$agents_address" = "$(joined "${name}_address")" ] && [ "$port" = "$(joined "${name}_port")" ] &&
    [ "$redis_port" = "$(joined "${name}_redis_port")" ] ||
    fail "the first site expects this one at $(joined "${name}_address"), API port $(joined "${name}_port"), Redis port $(joined "${name}_redis_port")" \
      'install with these, or install the first site again with another --peer' 2
}

# Before certificates are made: the second site takes the CA and the secret of tokens of the first one.
make_pair() {
  local folder=$prefix/config/pair certs=$prefix/config/certs
  if [ -n "$join" ]; then
    join_pair "$folder" "$certs"
  elif [ -n "$peer" ]; then
    found_pair "$folder"
  fi
  is_pair || return 0
  [ -e "$prefix/data/secret" ] || (
    umask 077
    openssl rand -hex 32 > "$prefix/data/secret.new"
    chown "$user:$user" "$prefix/data/secret.new"
    mv "$prefix/data/secret.new" "$prefix/data/secret"
  )
  local other
  other=$(other_site)
  put_secret peer.redis "rediss://peer:$(pair_value "${other}_password")@$(bracketed "$(pair_value "${other}_address")"):$(pair_value "${other}_redis_port")"
}

# Repeated, it keeps name and passwords: the other site has them. At a site that joined, it lets another first one follow.
found_pair() {
  local other name deployment password other_port other_redis_port
  other=$(other_site)
  ! is_pair || [ "$(pair_value "${other}_address")" != "$peer" ] || [ "$(pair_value joins)" != "$other" ] || return 0
  install -d -m 700 "$1"
  deployment=$(is_pair && pair_value deployment || echo "orchestrator-$(openssl rand -hex 4)")
  other_port=$(is_pair && pair_value "${other}_port" || { [ "$other" = primary ] && echo 8000 || echo 8010; })
  other_redis_port=$(is_pair && pair_value "${other}_redis_port" || echo "$redis_port")
  (
    umask 077
    {
      printf 'deployment=%s\njoins=%s\n' "$deployment" "$other"
      printf '%s_address=%s\n' "$site" "$agents_address" "$other" "$peer"
      printf '%s_port=%s\n' "$site" "$port" "$other" "$other_port"
      printf '%s_redis_port=%s\n' "$site" "$redis_port" "$other" "$other_redis_port"
      for name in primary secondary; do
        password=$(is_pair && pair_value "${name}_password" || openssl rand -hex 32)
        printf '%s_password=%s\n' "$name" "$password"
      done
    } > "$1/pair.conf.new"
  )
  mv "$1/pair.conf.new" "$1/pair.conf"
}

join_pair() {
  local folder=$1 certs=$2 name
  for name in ca.crt ca.key; do
    [ ! -e "$certs/$name" ] || tar -xOf "$join" "$name" | cmp -s - "$certs/$name" ||
      fail "this machine has a CA of its own in $certs: a site that joins begins empty" "$0 --uninstall --purge, then join again"
  done
  [ ! -e "$prefix/data/secret" ] || tar -xOf "$join" secret | cmp -s - "$prefix/data/secret" ||
    fail "$prefix/data/secret signs other tokens than those of the first site" "$0 --uninstall --purge, then join again"
  install -d -m 700 "$folder"
  (umask 077 && tar -xf "$join" -C "$folder" --no-same-owner pair.conf ca.crt ca.key secret)
  install -m 600 -o "$user" -g "$user" "$folder/ca.crt" "$certs/ca.crt"
  install -m 600 -o root -g root "$folder/ca.key" "$certs/ca.key"
  install -m 600 -o "$user" -g "$user" "$folder/secret" "$prefix/data/secret"
  rm -f "$folder/ca.crt" "$folder/ca.key" "$folder/secret"
}

# For the other machine, once the CA is there. What it holds opens both sites.
write_join_file() {
  is_pair && [ "$(pair_value joins)" != "$site" ] && [ -s "$prefix/config/certs/ca.key" ] || return 0
  local parts
  parts=$(mktemp -d "$prefix/config/pair/parts.XXXXXX")
  cp "$prefix/config/certs/ca.crt" "$prefix/config/certs/ca.key" "$prefix/config/pair/pair.conf" "$prefix/data/secret" "$parts"
  (umask 077 && tar -C "$parts" -cf "$prefix/config/pair/join.tar.new" ca.crt ca.key pair.conf secret)
  rm -rf "$parts"
  mv "$prefix/config/pair/join.tar.new" "$prefix/config/pair/join.tar"
}

# Lines of config/orchestrator.env.
pair_settings() {
  is_pair || return 0
  local other certs=$prefix/config/certs
  other=$(other_site)
  printf 'ORCHESTRATOR_PEER__%s\n' "API=https://$(bracketed "$(pair_value "${other}_address")"):$(pair_value "${other}_port")" \
    "DEPLOYMENT=$(pair_value deployment)" "CA_FILE=$certs/ca.crt" "CERTIFICATE_FILE=$certs/site.crt" "KEY_FILE=$certs/site.key"
}

# What the user of the other site may do in the Redis of this one: read the state, and say how far it has read.
peer_rights='sanitize-payload resetchannels -@all +@read +@connection +info %R~{s*}:* %R~orchestrator:site (%W~{s*}:readers +hset)'

# Makes the user of the other site, in the file of a Redis that does not run, or in the one that does.
admit_peer() {
  is_pair || return 0
  local data=$prefix/data/redis certs=$prefix/config/certs hash
  hash=$(pair_value "${site}_password" | tr -d '\n' | openssl dgst -sha256 -r | cut -d ' ' -f 1)
  ! grep -q "^user peer .*#$hash" "$data/users.acl" || return 0
  if with_systemd && systemctl is-active --quiet supreme-ai-orchestrator-redis; then
    local -a rights
    read -r -a rights <<< "${peer_rights%% (*}"
    REDISCLI_AUTH=$(sed 's#.*://orchestrator:\(.*\)@.*#\1#' "$prefix/config/secrets/redis.url") redis-cli --no-auth-warning -e --user orchestrator \
      --tls --cacert "$certs/ca.crt" --cert "$certs/client.crt" --key "$certs/client.key" -h localhost -p "$redis_port" << END > /dev/null ||
ACL SETUSER peer reset on #$hash ${rights[*]} "(${peer_rights##* (}"
ACL SAVE
END
      fail 'its Redis did not take the user of the other site' 'what redis-cli says above'
    return
  fi
  sed -i '/^user peer /d' "$data/users.acl"
  printf 'user peer on #%s %s\n' "$hash" "$peer_rights" >> "$data/users.acl"
}

# What the operator has to do next.
say_pair() {
  is_pair || return 0
  local own file
  own="$(pair_value "${site}_address"):$(pair_value "${site}_port")"
  file=$(sed -n "/^\[${site}_server\]/,/^\[/ s/^host *= *\"\(.*\)\"/\1/p" "$prefix/config/orchestrator.toml")
  case $file in
    localhost | 127.*) say "  NOTE: the other site tells clients https://$own, and [${site}_server] host in config/orchestrator.toml is $file: set it" ;;
  esac
  if [ "$(pair_value joins)" = "$site" ]; then
    say '  orchestrator site status'
  else
    say "  the $(other_site) site: bring $prefix/config/pair/join.tar there, as secret as a private key, then there:"
    say '    sudo ./scripts/install_orchestrator.sh --join join.tar'
  fi
}
