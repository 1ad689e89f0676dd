"""A receiver of webhooks: verifies them, does its work once for each event, and refuses what it can't use.

    pip install standardwebhooks cloudevents
    SECRET=whsec_… python3 receiver.py 9000

The sender puts CloudEvents in a JSON array, signed after Standard Webhooks (`mode = "batch"`).
"""

import json
import os
import sys
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["SECRET"])
LONGEST_BODY = 8 << 20


class Seen:
    """The last events that were worked on. A service with a database has a table of `source` and `id` instead, written in
    the transaction of the work itself: then an event that comes again after a crash is known, too."""

    def __init__(self, capacity):
        self.names, self.capacity = OrderedDict(), capacity

    def __contains__(self, event):
        return (event.get_source(), event.get_id()) in self.names

    def add(self, event):
        self.names[(event.get_source(), event.get_id())] = None
        if len(self.names) > self.capacity:
            self.names.popitem(last=False)


seen, turn = Seen(100_000), Lock()


def work(event):
    """Yours. An exception has the whole batch come again; False refuses this event, and the sender sets it aside."""
    if not event.get_type().startswith("com.github."):
        return False
    print(event.get_type(), event.get_id(), flush=True)
    return True


def take(body):
    """The answer to a body that was verified."""
    refused = []
    for one in json.loads(body):
        event = JSONFormat().read(None, json.dumps(one))
        if event in seen:
            continue
        if work(event):
            seen.add(event)
        else:
            refused.append({"itemIdentifier": event.get_id()})
    return {"batchItemFailures": refused}


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > LONGEST_BODY:
            self.close_connection = True
            return self.answer(413, {})
        # The bytes as they came: a signature is over these, not over JSON that was read and written again.
        body = self.rfile.read(length)
        try:
            webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            # The sender holds the hook and keeps its events.
            return self.answer(401, {})
        try:
            with turn:
                answer = take(body)
        except Exception as error:
            print("will come again:", error, file=sys.stderr, flush=True)
            return self.answer(503, {})
        self.answer(200, answer)

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print("port", server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
