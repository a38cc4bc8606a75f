"""The JSON gateway over WebSockets with the library websocket-client: prints what comes, with everything masked that differs
from one server to the next. `same`: what etcd and kvd have in common; `own`: what is kvd's own.
"""

import base64
import json
import re
import socket
import sys
import urllib.request

import websocket

ENDPOINT, PART = sys.argv[1:]
KEY = base64.b64encode(b"k").decode()
CREATE = json.dumps({"create_request": {"key": KEY}})


def post(path, body, token=None):
    headers = {"Authorization": token} if token else {}
    request = urllib.request.Request(f"http://{ENDPOINT}{path}", json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=60))


def put(value, token=None):
    post("/v3/kv/put", {"key": KEY, "value": base64.b64encode(value).decode()}, token)


def masked(text):
    # The spaces between tokens differ from one build of etcd to the next.
    text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return re.sub(r'"(cluster_id|member_id|raft_term|ID)":"\d+"', r'"\1":"…"', text)


class Socket:
    """One call; `with` closes it."""

    def __init__(self, path, **options):
        print(path, *(f"{name}={value}" for name, value in options.items() if name != "header"))
        options.setdefault("timeout", 60)
        self.socket = websocket.create_connection(f"ws://{ENDPOINT}{path}", **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *messages):
        for message in messages:
            if isinstance(message, bytes):
                self.socket.send_binary(message)
            else:
                self.socket.send(message)

    def hears(self, count):
        for _ in range(count):
            code, data = self.socket.recv_data()
            if code == websocket.ABNF.OPCODE_CLOSE:
                print("  closed", int.from_bytes(data[:2], "big"), data[2:].decode())
                return
            assert code == websocket.ABNF.OPCODE_TEXT, code
            print("  ", masked(data.decode()))

    def hangs_up(self):
        """There is nothing more, not even a closing frame."""
        try:
            rest = self.socket.sock.recv(100)
        except ConnectionError:
            rest = b""  # What the library sent to answer the closing frame came too late.
        print("   the rest:", rest)

    def ends(self):
        """etcd drops the connection, kvd says that it closes it."""
        try:
            code, _ = self.socket.recv_data()
            assert code == websocket.ABNF.OPCODE_CLOSE, code
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            pass
        print("   end")


def handshake(method, path, headers):
    """The head of the answer to a handshake, by hand."""
    host, port = ENDPOINT.rsplit(":", 1)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {ENDPOINT}", "Content-Length: 0", *headers, "", ""]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(4096)
            assert part, head
            head += part
    status, *lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
    found = dict(line.lower().split(": ", 1) for line in lines)
    wanted = ["upgrade", "connection", "content-type", "access-control-allow-origin"]
    wanted += [f"sec-websocket-{name}" for name in ("accept", "protocol", "version", "extensions")]
    print(method, path, headers, status.split(" ")[1], {name: found[name] for name in wanted if name in found})


def same():
    usual = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    for path in ("/v3/watch", "/v3/nothing", "/version"):
        handshake("GET", path, [*usual, key])
        handshake("POST", path, [*usual, key])
    handshake("GET", "/v3/watch", usual)
    handshake("GET", "/v3/watch", [*usual, "Sec-WebSocket-Key: c2hvcnQ="])
    handshake("GET", "/v3/watch", [*usual[:2], "Sec-WebSocket-Version: 12", key])
    handshake("GET", "/v3/watch", [*usual[:1], *usual[2:], key])
    handshake("GET", "/v3/watch", ["Connection: keep-alive, upgrade", "Upgrade: WebSocket", usual[2], key])
    for protocol in ("Bearer, token", "Bearer,token", "Bearer", "other"):
        handshake("GET", "/v3beta/watch", [*usual, key, f"Sec-WebSocket-Protocol: {protocol}"])
    handshake("OPTIONS", "/v3/watch", [*usual, key])
    handshake("GET", "/v3/watch", [*usual, key, "Origin: http://page"])
    handshake("GET", "/v3/watch", [*usual, key, "Sec-WebSocket-Extensions: permessage-deflate"])

    with Socket("/v3/watch") as call:
        call.send(CREATE)
        call.hears(1)
        put(b"1")
        call.hears(1)
        call.send('{"cancel_request":{"watch_id":"0"}}', CREATE)
        call.hears(2)
        put(b"2")
        call.hears(1)
    with Socket("/v3beta/watch?method=GET") as call:
        call.send(CREATE + CREATE)
        call.hears(2)
    with Socket("/v3/watch") as call:
        call.send('{"create_request": {"key":', f'"{KEY}", "start_revision": "2"}}}}')
        call.hears(2)
        call.socket.ping("are you there")
        code, frame = call.socket.recv_data_frame(control_frame=True)
        print("  ", code, frame.data)
    with Socket("/v3/watch") as call:
        call.send(CREATE.encode())
        call.hears(1)
    # Whoever ends its half of the connection, or closes it, has ended the call.
    with Socket("/v3/watch") as call:
        call.send(CREATE)
        call.hears(1)
        call.socket.sock.shutdown(socket.SHUT_WR)
        call.hangs_up()
    with Socket("/v3/watch") as call:
        call.send(CREATE)
        call.hears(1)
        call.socket.send_close(1000)
        call.hears(1)
        call.hangs_up()
    lease = post("/v3/lease/grant", {"TTL": 600})["ID"]
    with Socket("/v3/lease/keepalive") as call:
        call.send(json.dumps({"ID": lease}), '{"ID":"77"}', json.dumps({"ID": lease}))
        call.hears(3)
    for path in ("/v3/nothing", "/v3/kv/put/"):
        with Socket(path) as call:
            call.hears(1)
            call.ends()

    post("/v3/auth/user/add", {"name": "root", "password": "p"})
    post("/v3/auth/user/grant", {"user": "root", "role": "root"})
    post("/v3/auth/enable", {})
    token = post("/v3/auth/authenticate", {"name": "root", "password": "p"})["token"]
    for options in (
        {"header": [f"Sec-WebSocket-Protocol: Bearer, {token}"], "subprotocols": []},
        {"cookie": f"a=b; token={token}"},
    ):
        shown = {"cookie": "token"} if "cookie" in options else {"protocol": "token"}
        print(shown)
        connection = websocket.create_connection(f"ws://{ENDPOINT}/v3/watch", timeout=60, **without_empty(options))
        connection.send(CREATE)
        print("  ", masked(connection.recv()))
        put(b"3", token)
        print("  ", masked(connection.recv()))
        connection.close()
    with Socket("/v3/watch") as call:
        call.send(CREATE)
        call.hears(1)


def without_empty(options):
    return {name: value for name, value in options.items() if value}


def own():
    for path, message in (
        ("/v3/kv/put", {"key": KEY, "value": KEY}),
        ("/v3/kv/range", {"key": KEY, "count_only": True}),
        ("/v3/kv/put", {}),
        ("/v3/kv/rangestream", {"key": KEY, "keys_only": True}),
    ):
        with Socket(path) as call:
            call.send(json.dumps(message))
            call.hears(9)
    with Socket("/v3/watch") as call:
        call.send("no JSON")
        call.hears(2)
    with Socket("/v3/watch") as call:
        call.send(CREATE)
        call.hears(1)
        try:
            call.send('{"a":"' + "x" * (8 << 20))
        except OSError:
            pass  # It is refused before it is whole.
        call.ends()
    for origin in ("http://page:80", "http://evil"):
        try:
            with Socket("/v3/watch", origin=origin) as call:
                call.send(CREATE)
                call.hears(1)
        except websocket.WebSocketBadStatusException as refused:
            print("  ", refused.status_code)


{"same": same, "own": own}[PART]()
