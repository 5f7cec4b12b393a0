"""Makes a container: azure_container.py SERVICE_URL ACCOUNT KEY CONTAINER. Nothing but Python's own library."""

import base64
import datetime
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request

service, account, key, container = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
path = urllib.parse.urlsplit(service).path + "/" + container
resource = f"/{account}{path}\nrestype:container"
to_sign = "PUT\n" + "\n" * 11 + f"x-ms-date:{now}\nx-ms-version:2021-08-06\n{resource}"
signature = base64.b64encode(hmac.new(base64.b64decode(key), to_sign.encode(), hashlib.sha256).digest()).decode()
headers = {
    "x-ms-date": now,
    "x-ms-version": "2021-08-06",
    "content-length": "0",
    "authorization": f"SharedKey {account}:{signature}",
}
request = urllib.request.Request(f"{service}/{container}?restype=container", method="PUT", headers=headers)
urllib.request.urlopen(request, timeout=30).read()
