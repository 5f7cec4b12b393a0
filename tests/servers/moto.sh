#!/bin/bash
# moto, a fake with the semantics of AWS and one line of log a request; ready in a second.
. "$(dirname "$0")/common.sh"

port=$(free_port)
moto=$("$here/tool.sh" moto)
start moto "$moto" -H 127.0.0.1 -p "$port"
await answers "http://127.0.0.1:$port/"
python3 "$here/s3_bucket.py" "http://127.0.0.1:$port" testkey testsecret us-east-1 registry

echo "SAMPAN_TEST_MOTO='{\"regionendpoint\":\"http://127.0.0.1:$port\",\"forcepathstyle\":true,\"region\":\"us-east-1\",\"bucket\":\"registry\",\"accesskey\":\"testkey\",\"secretkey\":\"testsecret\"}'"
