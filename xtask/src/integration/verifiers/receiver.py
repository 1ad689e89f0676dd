"""Takes webhooks with PyPI's `standardwebhooks` and `cloudevents`, and answers 400 to whatever these don't accept.

    python3 receiver.py SECRET SEEN

Says its port. Writes the id of each event that it took to the file SEEN, one a line.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

secret, seen = sys.argv[1:]
webhook = Webhook(secret)


# What binary mode has to carry over, by the event's id.
odd = {
    'é " % 😀': ("100 %", 'line\nand "quote" é'),
    "odd-bytes": (None, bytes.fromhex("ffef0001")),
    "odd-none": (None, None),
}


def verify(body, headers):
    """Checks the signature. Of bytes the package wants a text, which they are not; and it reads JSON last."""
    if headers.get("content-type") == "application/octet-stream":
        return
    try:
        webhook.verify(body, headers)
    except json.JSONDecodeError:
        if body and headers.get("content-type") != "text/plain":
            raise


def binary(headers, body):
    """The id of an event in binary mode."""
    event = from_http(HTTPMessage(headers=headers, body=body), JSONFormat())
    id, data = event.get_id(), event.get_data()
    if id in odd and odd[id] != (event.get_subject(), data) or id not in odd and not isinstance(data, dict):
        raise ValueError(f"{id} is not as it was published")
    return id


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            headers = dict(self.headers)
            verify(body, headers)
            is_binary = self.path == "/python-binary"
            ids = [binary(headers, body)] if is_binary else [event["id"] for event in json.loads(body)]
            with open(seen, "a", encoding="utf-8") as file:
                file.writelines(f"{self.path} {id}\n" for id in ids)
            self.answer(204, b"")
        except Exception as error:
            self.answer(400, repr(error).encode())

    def answer(self, status, text):
        self.send_response(status)
        if text:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print("port", server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
