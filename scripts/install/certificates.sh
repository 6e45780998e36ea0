# Keys and certificates: a private CA of the site, and what it signs. Sourced by install_orchestrator.sh.
# shellcheck shell=bash

ca_days=3650
certificate_days=397
renew_seconds=$((30 * 24 * 3600))

# Certificates of somebody else (there is a server.crt, but no key of a CA) are left alone.
make_certificates() {
  local certs=$prefix/config/certs tls=$prefix/data/redis/tls
  if [ -e "$certs/server.crt" ] && [ ! -e "$certs/ca.key" ]; then
    [ -e "$certs/ca.crt" ] && [ -e "$certs/client.crt" ] && [ -e "$certs/client.key" ] ||
      fail "$certs has a server.crt and lacks ca.crt, client.crt or client.key" \
        'put all of them there, or move server.crt and server.key away: then a private CA makes them'
    say 'certificates: not made here, left as they are'
  else
    [ -s "$certs/ca.key" ] && [ -s "$certs/ca.crt" ] || make_ca "$certs"
    signed "$certs" server serverAuth,clientAuth
    signed "$certs" client clientAuth
    signed "$certs" site clientAuth
  fi
  [ -z "$redis_url" ] || return 0
  # Redis has copies of its own: neither of the two users can read the other one's files.
  install -d -m 700 -o orchestrator-redis -g orchestrator-redis "$tls"
  local name
  for name in ca.crt server.crt server.key; do
    cmp -s "$certs/$name" "$tls/$name" || redis_changed=yes
    install -m 600 -o orchestrator-redis -g orchestrator-redis "$certs/$name" "$tls/$name"
  done
}

make_ca() {
  (
    umask 077
    openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days "$ca_days" -keyout "$1/ca.key" -out "$1/ca.crt" \
      -subj "/CN=Supreme AI Orchestrator CA $(openssl rand -hex 4)" -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
      -addext 'keyUsage=critical,keyCertSign,cRLSign' 2> /dev/null
  ) || fail 'openssl could not make the CA' "openssl version; is $1 writable?"
}

# Names and addresses under which this machine is reached.
alternative_names() {
  local name
  {
    printf '%s\n' localhost "$(hostname)" "$host" 127.0.0.1 ::1 "$agents_address" "${names[@]}"
  } | sort -u | while read -r name; do
    case $name in
      '' | 0.0.0.0 | ::) ;;
      *:* | *[0-9].*[0-9].*[0-9].*[0-9]) printf 'IP:%s\n' "$name" ;;
      *) printf 'DNS:%s\n' "$name" ;;
    esac
  done | paste -s -d ,
}

# True when the certificate holds under every name that it was asked for.
has_names() {
  local name
  for name in "$host" "$agents_address" "${names[@]}"; do
    case $name in
      '' | 0.0.0.0 | ::) ;;
      *:* | *[0-9].*[0-9].*[0-9].*[0-9]) openssl x509 -in "$1" -noout -checkip "$name" 2> /dev/null | grep -q 'does match' || return 1 ;;
      *) openssl x509 -in "$1" -noout -checkhost "$name" 2> /dev/null | grep -q 'does match' || return 1 ;;
    esac
  done
}

# Makes folder/name.crt and name.key, where they are missing, end soon, come from another CA or lack a name.
signed() {
  local folder=$1 name=$2 usage=$3 subject=$2
  [ "$name" != site ] || subject="site $site"
  if [ -s "$folder/$name.crt" ] && [ -s "$folder/$name.key" ] && openssl x509 -in "$folder/$name.crt" -noout -checkend "$renew_seconds" > /dev/null &&
    openssl verify -CAfile "$folder/ca.crt" "$folder/$name.crt" > /dev/null 2>&1 &&
    { [ "$name" != server ] || has_names "$folder/$name.crt"; }; then
    return 0
  fi
  issued "$folder" "$folder/$name" "supreme-ai-orchestrator $subject" "$usage" "$(alternative_names)"
  chown "$user:$user" "$folder/$name.key" "$folder/$name.crt"
}

# The CA of a folder makes path.crt and path.key (mode 600), which appear whole.
issued() {
  local authority=$1 path=$2 subject=$3 usage=$4 alternatives=$5
  (
    umask 077
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$path.key.new" -out "$path.csr" \
      -subj "/CN=$subject" 2> /dev/null &&
      openssl x509 -req -in "$path.csr" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -sha256 -days "$certificate_days" -out "$path.crt.new" -extfile /dev/stdin 2> /dev/null << END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=$usage
subjectAltName=$alternatives
END
  ) || fail "openssl could not make $path.crt" 'the folder has to be writable, and ca.crt and ca.key have to belong together'
  rm -f "$path.csr"
  mv "$path.key.new" "$path.key"
  mv "$path.crt.new" "$path.crt"
  say "certificates: made $(basename "$path").crt, valid until $(openssl x509 -in "$path.crt" -noout -enddate | cut -d = -f 2)"
}
