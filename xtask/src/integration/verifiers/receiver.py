"""Takes webhooks with PyPI's `standardwebhooks`, and answers 400 to whatever it does not accept.

    python3 receiver.py SECRET SEEN

Says its port. Writes the id of each event that it took to the file SEEN, one a line.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

secret, seen = sys.argv[1:]
webhook = Webhook(secret)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            webhook.verify(body, dict(self.headers))
            with open(seen, "a") as file:
                file.writelines(f"{self.path} {event['id']}\n" for event in json.loads(body))
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
