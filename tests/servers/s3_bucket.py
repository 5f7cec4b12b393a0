"""Makes a bucket: s3_bucket.py ENDPOINT ACCESS_KEY SECRET_KEY REGION BUCKET. Nothing but Python's own library."""

import datetime
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request

endpoint, access_key, secret_key, region, bucket = sys.argv[1:]
host = urllib.parse.urlsplit(endpoint).netloc
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = f"{now[:8]}/{region}/s3/aws4_request"
body_hash = hashlib.sha256(b"").hexdigest()
headers = {"host": host, "x-amz-content-sha256": body_hash, "x-amz-date": now}
signed = ";".join(headers)
canonical = "\n".join(
    ["PUT", f"/{bucket}", "", *(f"{name}:{value}" for name, value in headers.items()), "", signed, body_hash]
)
to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = b"AWS4" + secret_key.encode()
for step in scope.split("/"):
    key = hmac.new(key, step.encode(), hashlib.sha256).digest()
signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
headers["authorization"] = (
    f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
)
request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", headers=headers)
urllib.request.urlopen(request, timeout=30).read()
