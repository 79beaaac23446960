#!/bin/sh
# `make scale-test`, on a machine that may have neither PostgreSQL nor Redis yet.
set -eu
cd "$(dirname "$0")/.."
missing=
ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || missing="$missing postgresql"
command -v redis-server > /dev/null || missing="$missing redis-server"
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "Missing:$missing. As root: apt-get install$missing" >&2; exit 1; }
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi
exec .venv/bin/python -m tests.scale "$@"
