#!/bin/bash
# Azurite, Microsoft's own stand-in for Azure Blob Storage; ready in four seconds.
. "$(dirname "$0")/common.sh"

port=$(free_port)
# Known to everybody: the account that Azurite comes with.
account=devstoreaccount1
key=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==
azurite=$("$here/tool.sh" azurite)
start azurite "$azurite" --silent --location "$dir/blobs" --blobHost 127.0.0.1 --blobPort "$port" \
    --skipApiVersionCheck --disableTelemetry
await answers "http://127.0.0.1:$port/"
python3 "$here/azure_container.py" "http://127.0.0.1:$port/$account" "$account" "$key" registry

echo "SAMPAN_TEST_AZURITE='{\"serviceurl\":\"http://127.0.0.1:$port/$account\",\"accountname\":\"$account\",\"accountkey\":\"$key\",\"container\":\"registry\"}'"
