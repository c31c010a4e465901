#!/usr/bin/env bash
# Waits for a schema with bash and jq, by docs/contract.md: wait-bash.sh production orders 2
# It is for a NATS without credentials and TLS, names that need no encoding, and versions that are numbers.
command -v jq >/dev/null || { echo "jq is not installed" >&2; exit 78; }
LC_ALL=C
subject=v1.$1.$2 version=$3 inbox=_INBOX.$$.$RANDOM$RANDOM
address=${NATS_URL:-nats://127.0.0.1:4222} address=${address#*://}
rule=$(dirname "$0")/rule.jq

send() { printf '%s\r\n' "$@" >&3; }
ask() { send "PUB \$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.$subject $inbox 0" ""; }

while true; do # after each loss of the connection
  until exec 3<>"/dev/tcp/${address%:*}/${address##*:}"; do sleep 1; done
  send 'CONNECT {"verbose":false,"headers":true,"no_responders":true}' "SUB schema.live.$subject 1" "SUB $inbox 2"
  ask
  while true; do
    read -r -t $((10 + RANDOM % 5)) -u 3 -a line
    status=$?
    if ((status > 128)); then ask && continue; fi
    ((status == 0)) || break
    case ${line[0]} in
    PING*) send PONG ;;
    HMSG) # HMSG subject sid [reply] length-of-headers length-of-all
      total=${line[-1]%$'\r'}
      read -r -N $((total + 2)) -u 3 message
      [[ $message == *$'\r\n'Nats-Subject:\ schema.state.$subject$'\r\n'* ]] || { echo "$1/$2: nothing is proven yet" >&2; continue; }
      state=${message:line[-2]}
      code=$(jq --arg environment "$1" --arg database "$2" --argjson v "$version" -f "$rule" <<<"$state") || continue
      echo "$1/$2 is at $(jq -r '.ready.version // "no version"' <<<"$state")" >&2
      ((code < 0)) || exit "$code"
      ;;
    esac
  done
done
