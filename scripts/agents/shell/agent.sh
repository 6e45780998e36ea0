#!/usr/bin/env bash
# A sample agent in shell: redis-cli, curl and nothing else. It serves tasks of type `echo`: the result is the parameters.
#
#   ORCHESTRATOR_TOKEN=... ./agent.sh --api http://127.0.0.1:8000
#
# Where Redis speaks TLS (rediss://), --ca names the CA it is trusted by, and --certificate with --key what the agent shows to
# one that asks for it. REDIS_CLI names another redis-cli. Every step of the protocol is one command here, so it can also be typed by hand.
set -uo pipefail

api=${ORCHESTRATOR_API:-http://127.0.0.1:8000}
token=${ORCHESTRATOR_TOKEN:-}
redis_url=${ORCHESTRATOR_REDIS_URL:-}
redis_cli=${REDIS_CLI:-redis-cli}
type=echo
id=
ca= certificate= key=
while [ $# -gt 0 ]; do
  case $1 in
    --api) api=${2:?--api needs an address} ;;
    --token) token=${2:?--token needs a token} ;;
    --redis) redis_url=${2:?--redis needs an address} ;;
    --type) type=${2:?--type needs a name} ;;
    --id) id=${2:?--id needs a name} ;;
    --ca) ca=${2:?--ca needs a file} ;;
    --certificate) certificate=${2:?--certificate needs a file} ;;
    --key) key=${2:?--key needs a file} ;;
    *) echo "agent.sh: unknown option $1; known: --api --token --redis --type --id --ca --certificate --key" >&2; exit 2 ;;
  esac
  shift 2
done
if [ -z "$token" ]; then
  echo 'agent.sh: no token: pass --token or set ORCHESTRATOR_TOKEN' >&2
  exit 2
fi

if [ "${certificate:+x}" != "${key:+x}" ]; then
  echo 'agent.sh: --certificate and --key go together' >&2
  exit 2
fi

# The value of a member in a JSON answer. Enough for ids, addresses and numbers, which have no escapes.
member() { printf '%s' "$2" | grep -oE "\"$1\"[[:space:]]*:[[:space:]]*(\"[^\"]*\"|[0-9]+)" | head -n 1 | sed -E 's/^"[^"]*"[[:space:]]*:[[:space:]]*//; s/^"//; s/"$//'; }

# The password travels in the environment: arguments are seen by everyone in `ps`.
redis() {
  local address=${redis_url#*://} login= user= host port tls=()
  case $redis_url in
    rediss://*) tls=(--tls ${ca:+--cacert "$ca"} ${certificate:+--cert "$certificate" --key "$key"}) ;;
  esac
  case $address in *@*) login=${address%@*} address=${address##*@} ;; esac
  address=${address%%/*} host=${address%:*} port=${address##*:}
  case $login in
    *:*) user=${login%%:*}; REDISCLI_AUTH=${login#*:} "$redis_cli" -h "$host" -p "$port" "${tls[@]}" --user "${user:-default}" --no-auth-warning "$@" ;;
    *) "$redis_cli" -h "$host" -p "$port" "${tls[@]}" "$@" ;;
  esac
}

register() {
  local body="{\"type\":\"$type\",\"slots\":1,\"version\":\"1\"${id:+,\"id\":\"$id\"}}" answer
  until answer=$(curl -sS ${ca:+--cacert "$ca"} --fail-with-body --max-time 10 -H @<(printf 'Authorization: Bearer %s' "$token") -H 'Content-Type: application/json' \
    -d "$body" "${api%/}/api/v1/agents"); do
    echo "agent.sh: the registration failed: $answer" >&2
    case $(member status "$answer") in 400 | 401 | 403 | 404 | 413 | 422) exit 1 ;; esac
    [ -n "$leaving" ] && exit 0
    sleep 1
  done
  id=$(member id "$answer")
  generation=$(member generation "$answer")
  inbox=$(member inbox "$answer")
  group=$(member group "$answer")
  outbox=$(member outbox "$answer")
  interval_ms=$(member heartbeat_interval_ms "$answer")
  redis_url=${redis_url_fixed:-$(member url "$answer")}
  echo "agent.sh: registered as $id, generation $generation" >&2
}

# report KIND [FIELD VALUE]...: again until Redis has it, or has taken the account away; a duplicate is harmless.
report() {
  local kind=$1 tries=0 reply
  shift
  until reply=$(redis XADD "$outbox" '*' kind "$kind" agent "$id" generation "$generation" "$@" 2>&1) && grep -qE '^[0-9]+-[0-9]+$' <<<"$reply"; do
    case $reply in *NOPERM* | *WRONGPASS* | *NOAUTH*) lost=yes; return 1 ;; esac
    tries=$((tries + 1))
    [ $tries -eq 1 ] && echo "agent.sh: the report '$kind' waits, trying again: $reply" >&2
    [ $tries -ge 40 ] && return 1
    sleep 0.25
  done
}

# The result comes from standard input (-x), because an argument holds 128 KiB at most.
complete() {
  printf '%s' "$3" | redis -x XADD "$outbox" '*' kind completed agent "$id" generation "$generation" task "$1" token "$2" result |
    grep -qE '^[0-9]+-[0-9]+$'
}

beat() { report heartbeat attempts "[]"; last_beat=$SECONDS; }

# The reply of redis-cli is one value a line: stream, entry id, then field names and values in turn. A value can hold
# no line break, because JSON escapes it.
handle() {
  local entry= kind= task= attempt_token= parameters=null name=
  while IFS= read -r line; do
    if [[ $line =~ ^[0-9]+-[0-9]+$ && -z $name ]]; then
      finish_entry
      entry=$line kind='' task='' attempt_token='' parameters=null refused=''
    elif [ -z "$entry" ]; then
      continue
    elif [ -z "$name" ]; then
      name=$line
    else
      case $name in
        kind) kind=$line ;;
        task) task=$line ;;
        token) attempt_token=$line ;;
        parameters) parameters=$line ;;
        report) refused=$line ;;
      esac
      name=
    fi
  done
  finish_entry
}

finish_entry() {
  [ -z "$entry" ] && return
  case $kind in
    assign)
      # What is delivered twice is done once. Ids and tokens hold no spaces.
      if [[ $seen == *" $attempt_token "* ]]; then
        :
      elif [ -n "$leaving$draining" ]; then
        seen=" $attempt_token${seen:0:20000}"
        report released task "$task" token "$attempt_token" reason 'the agent takes no new work'
      else
        seen=" $attempt_token${seen:0:20000}"
        report started task "$task" token "$attempt_token"
        redis XACK "$inbox" "$group" "$entry" >/dev/null
        until complete "$task" "$attempt_token" "$parameters" || [ -n "$leaving$lost" ]; do
          sleep 0.25
          beat
        done
        echo "agent.sh: task $task is done" >&2
      fi
      ;;
    cancel) ;; # an echo is over before a cancellation can reach it
    drain) draining=yes ;;
    resume) draining= ;;
    shutdown) leaving=yes ;;
    refused)
      echo "agent.sh: a report '$refused' was refused" >&2
      [ "$refused" = heartbeat ] && [ -z "$attempt_token" ] && lost=yes
      ;;
  esac
  redis XACK "$inbox" "$group" "$entry" >/dev/null
}

leaving= draining= refused= seen=' ' redis_url_fixed=$redis_url
trap 'leaving=yes' TERM INT

while [ -z "$leaving" ]; do
  lost= draining=
  register
  from=0
  beat
  while [ -z "$leaving$lost" ]; do
    reply=$(redis XREADGROUP GROUP "$group" "$id" COUNT 10 BLOCK 1000 STREAMS "$inbox" "$from" 2>&1)
    # Only the first line tells an error from an answer: a task may hold any word.
    case $reply in
      '' | "$inbox"*) handle <<<"$reply" ;;
      *NOGROUP* | *NOPERM* | *WRONGPASS* | *NOAUTH* | *WRONGTYPE*) echo "agent.sh: the inbox is gone: $reply" >&2; lost=yes ;;
      *) echo "agent.sh: the inbox cannot be read: $reply" >&2; sleep 0.5; from=0; continue ;;
    esac
    # The pending entries come first, all at once or in tens; none left means an answer without entry ids.
    grep -qE '^[0-9]+-[0-9]+$' <<<"$reply" || from='>'
    [ $(((SECONDS - last_beat) * 1000 + 2000)) -ge "${interval_ms:-5000}" ] && beat
  done
  [ -n "$lost" ] && sleep 1
done
report goodbye
echo 'agent.sh: stopped' >&2
