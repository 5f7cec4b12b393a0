#!/bin/bash
# Garage, a real store that answers 200 to conditional writes and ignores the conditions; ready at once.
. "$(dirname "$0")/common.sh"

port=$(free_port)
rpc_port=$(free_port)
admin_port=$(free_port)
secret=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
key=GK$(python3 -c 'import secrets; print(secrets.token_hex(12))')
cat >"$dir/garage.toml" <<CONF
metadata_dir = "$dir/meta"
data_dir = "$dir/data"
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc_port"
rpc_public_addr = "127.0.0.1:$rpc_port"
rpc_secret = "$secret"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$port"
[admin]
api_bind_addr = "127.0.0.1:$admin_port"
CONF
export GARAGE_CONFIG_FILE=$dir/garage.toml GARAGE_DEFAULT_ACCESS_KEY=$key GARAGE_DEFAULT_SECRET_KEY=$secret
export GARAGE_DEFAULT_BUCKET=registry
garage=$("$here/tool.sh" garage)
start garage "$garage" server --single-node --default-bucket
await answers "http://127.0.0.1:$port/"

echo "SAMPAN_TEST_GARAGE='{\"regionendpoint\":\"http://127.0.0.1:$port\",\"forcepathstyle\":true,\"region\":\"garage\",\"bucket\":\"registry\",\"accesskey\":\"$key\",\"secretkey\":\"$secret\"}'"
