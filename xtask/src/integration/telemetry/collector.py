"""A collector that reads OTLP with opentelemetry-proto, and a receiver that fails at first.

python3 collector.py FILE: each request becomes a line of JSON in FILE. The ports stand in the line that begins with `ports`.
"""

import http.server
import json
import sys
import threading

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
lock = threading.Lock()
deliveries = 0


def write(seen):
    with lock, open(sys.argv[1], "a") as file:
        file.write(json.dumps(seen) + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        global deliveries
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = 200
        if self.path in REQUESTS:
            message = REQUESTS[self.path]()
            message.ParseFromString(body)
            write({"path": self.path, "headers": headers, "body": MessageToDict(message)})
        else:
            with lock:
                deliveries += 1
                status = 500 if deliveries == 1 else 200
            write({"path": self.path, "headers": headers})
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("ports", server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
