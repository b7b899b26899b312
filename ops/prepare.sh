#!/usr/bin/env bash
# Make ops/secrets for compose.yml: random passwords, settings that name them, the passphrase (asked, or on stdin).
# What is there already stays. As root it gives each file to the user that reads it in its container.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
mkdir -p secrets

draw() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
keep() { # keep NAME UID: write standard input to a secret that is not there yet
  if [ ! -e "secrets/$1" ]; then
    cat > "secrets/$1.partial"
    mv "secrets/$1.partial" "secrets/$1"
  fi
  if [ "$(id -u)" = 0 ]; then chown "$2" "secrets/$1"; fi
}

if [ ! -e secrets/bmv-passphrase ]; then
  read -rsp "passphrase of the keystore, 8 characters at least: " passphrase
  echo >&2
  [ "${#passphrase}" -ge 8 ] || { echo "that is too short" >&2; exit 2; }
  keep bmv-passphrase 10001 <<< "$passphrase"
fi
keep postgres-password 0 <<< "$(draw)"
keep grafana-password 472 <<< "$(draw)"
keep valkey.conf 999 << CONF
requirepass $(draw)
dir /data
appendonly yes
maxmemory-policy noeviction
CONF
keep bmv.toml 10001 << TOML
# The settings of the engine in its container; docs/configuration.md has every key.
MARKET = "B9coHrCxYv7xmPfSU7Z5VfugDqdTdZqZTpBGBdazq8AC"
RPC_URL = "https://a.node.example"
JITO_AUTH_UUID = ""
LOCKED_ACCOUNTS = ""
DATABASE_URL = "postgresql://bmv:$(cat secrets/postgres-password)@postgres/bmv"
REDIS_URL = "redis://:$(sed -n 's/^requirepass //p' secrets/valkey.conf)@valkey:6379/0"
TOML
echo "ops/secrets is ready; put your node (RPC_URL) and JITO_AUTH_UUID into ops/secrets/bmv.toml"
