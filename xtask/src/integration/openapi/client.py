"""A hook's life, by the client that openapi-python-client made of the document: made, listed, tested, deleted.

Usage: client.py ADDRESS TOKEN, where the package `hooks_client` is on the path.
"""

import http.server
import json
import sys
import threading

from hooks_client import AuthenticatedClient
from hooks_client.api.hooks import delete_hook, get_hook, list_hooks, patch_hook, put_hook, rotate_secret, test_hook
from hooks_client.models import HookDefinition, HookPatch, HookDefinitionHttpSink, Problem, Rotation

received = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((self.headers["webhook-signature"], json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def expect(answer, status):
    """What was answered, if with this status."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status}: {answer.content}"
    assert answer.parsed is not None, f"not understood: {answer.content}"
    return answer.parsed


def main(address, token):
    receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}/"
    client = AuthenticatedClient(base_url=address, token=token)
    definition = HookDefinition(sink=HookDefinitionHttpSink(kind="http", url=url), types=["order.*"])

    created = put_hook.sync_detailed("generated", client=client, body=definition, if_none_match="*")
    hook = expect(created, 201)
    assert hook.origin == "api" and hook.secret.startswith("whsec_") and created.headers["location"], hook
    again = put_hook.sync_detailed("generated", client=client, body=definition, if_none_match="*")
    assert isinstance(expect(again, 412), Problem)

    page = expect(list_hooks.sync_detailed(client=client, q="generated"), 200)
    assert [hook.id for hook in page.hooks] == ["generated"], page

    tested = expect(test_hook.sync_detailed("generated", client=client), 200)
    signature, events = received.pop()
    assert tested.delivered and signature.startswith("v1,") and len(events) == 1, tested

    changed = patch_hook.sync_detailed(
        "generated", client=client, body=HookPatch(lanes=2), if_match=created.headers["etag"]
    )
    assert expect(changed, 200).settings["lanes"] == 2
    stale = patch_hook.sync_detailed(
        "generated", client=client, body=HookPatch(lanes=3), if_match=created.headers["etag"]
    )
    assert isinstance(expect(stale, 412), Problem)
    rotated = expect(rotate_secret.sync_detailed("generated", client=client, body=Rotation(overlap="1h")), 200)
    assert rotated.secret not in ("", hook.secret)

    faulty = HookDefinition(sink=HookDefinitionHttpSink(kind="http", url="ftp://example.com/"), lanes=3)
    faults = expect(put_hook.sync_detailed("faulty", client=client, body=faulty), 422).faults
    assert [fault.pointer for fault in faults] == ["/sink/url"], faults

    assert expect(delete_hook.sync_detailed("generated", client=client), 200).changed
    assert isinstance(expect(get_hook.sync_detailed("generated", client=client), 404), Problem)


main(*sys.argv[1:])
