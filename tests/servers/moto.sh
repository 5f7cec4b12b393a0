#!/bin/bash
# moto, a fake with the semantics of AWS and one line of log a request; ready in a second. pip install 'moto[server,s3]'
. "$(dirname "$0")/common.sh"

port=$(free_port)
start moto "${MOTO_SERVER:-moto_server}" -H 127.0.0.1 -p "$port"
await answers "http://127.0.0.1:$port/"
python3 "$(dirname "$0")/s3_bucket.py" "http://127.0.0.1:$port" testkey testsecret us-east-1 registry

echo "SAMPAN_TEST_MOTO='{\"regionendpoint\":\"http://127.0.0.1:$port\",\"forcepathstyle\":true,\"region\":\"us-east-1\",\"bucket\":\"registry\",\"accesskey\":\"testkey\",\"secretkey\":\"testsecret\"}'"
