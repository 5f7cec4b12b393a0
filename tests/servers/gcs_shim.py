"""Google Cloud Storage's XML interface, by other names for the headers of S3: gcs_shim.py PORT MOTO_ENDPOINT.

Generations are made of ETags. What S3 forgives and Google does not (deleting what is not there) is not forgiven.
"""

import http.client
import http.server
import sys
import urllib.parse

port, moto = int(sys.argv[1]), urllib.parse.urlsplit(sys.argv[2]).netloc
HOP = {"connection", "transfer-encoding", "host", "authorization", "keep-alive", "server", "date"}
SIGNED = "AWS4-HMAC-SHA256 Credential=ak/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"


def generation(etag):
    return str(int("".join(c for c in etag if c in "0123456789abcdef")[:14] or "1", 16))


class Shim(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written one after the other, and no client should wait 40 ms for an acknowledgement between them.
    disable_nagle_algorithm = True

    def ask(self, method, headers, body=b""):
        connection = http.client.HTTPConnection(moto, timeout=120)
        connection.request(method, self.path, body=body, headers={**headers, "authorization": SIGNED})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def refuse(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            if name == "x-goog-if-generation-match":
                if value == "0":
                    headers["if-none-match"] = "*"
                    continue
                there, _ = self.ask("HEAD", {})
                if there.status != 200 or generation(there.headers["etag"]) != value:
                    return self.refuse(412)
                headers["if-match"] = there.headers["etag"]
            elif name not in HOP:
                headers[name.replace("x-goog-", "x-amz-")] = value
        if self.command == "DELETE" and "uploadId" not in self.path and self.ask("HEAD", {})[0].status == 404:
            return self.refuse(404)
        answer, content = self.ask(self.command, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            name = name.lower()
            if name not in HOP and (name != "content-length" or self.command == "HEAD"):
                self.send_header(name.replace("x-amz-", "x-goog-"), value)
        if "etag" in answer.headers:
            self.send_header("x-goog-generation", generation(answer.headers["etag"]))
        if self.command != "HEAD" and answer.status != 204:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", port), Shim).serve_forever()
