#!/bin/bash
# The XML interface of Google Cloud Storage, as a shim of headers over moto; ready in two seconds.
# It checks no signatures and makes no signed URLs.
. "$(dirname "$0")/common.sh"

moto_port=$(free_port)
moto=$("$here/tool.sh" moto)
start moto "$moto" -H 127.0.0.1 -p "$moto_port"
await answers "http://127.0.0.1:$moto_port/"
python3 "$here/s3_bucket.py" "http://127.0.0.1:$moto_port" testkey testsecret us-east-1 registry
port=$(free_port)
start shim python3 "$here/gcs_shim.py" "$port" "http://127.0.0.1:$moto_port"
await answers "http://127.0.0.1:$port/"

echo "SAMPAN_TEST_GCS='{\"bucket\":\"registry\",\"credentials\":{\"gcs_base_url\":\"http://127.0.0.1:$port\",\"disable_oauth\":true,\"client_email\":\"\",\"private_key\":\"\",\"private_key_id\":\"\"}}'"
