#!/bin/sh
# Waits for a schema with the nats CLI and jq, by docs/contract.md: wait-cli.sh production orders 2
# It is for names that need no encoding, and versions that are numbers. The CLI finds NATS by NATS_URL or its context.
for tool in nats jq; do
	command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 78; }
done
subject=v1.$1.$2
rule=$(dirname "$0")/rule.jq
while :; do
	state=$(nats request --raw --timeout 3s "\$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.$subject" '' 2>/dev/null)
	code=$(printf %s "${state:-null}" | jq --arg environment "$1" --arg database "$2" --argjson v "$3" -f "$rule" 2>/dev/null) || code=-1
	[ "$code" -lt 0 ] || exit "$code"
	echo "$1/$2 is not ready yet" >&2
	timeout 5 nats subscribe --raw --count 1 "schema.live.$subject" >/dev/null 2>&1 # what passes by unseen is read after 5 seconds
done
