"""A switch with bad links: what its ports hear goes on late, and some of it never.

    relay.py DELAY_MS JITTER_MS LOSS_PERCENT PORT...

The kernel's own means for this, netem, is not in every kernel; packet sockets are. It says `ready` when every port
is heard, and ends when its standard input does, which is when the test that started it ends in whatever way.
"""

import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_RCVBUFFORCE = 33
# Hosts leave checksums and segmentation to the network card, and a veth pair does neither: the kernel puts a header with
# that information in front of each frame, and without it the receiver would drop the frame as corrupt.
NOTES = 10
# The longest frame before segmentation, with that header.
LONGEST = NOTES + 14 + 65535
# Frames that are read from one port before the others have their turn.
TURN = 64


def listen(port):
    # Without a protocol the socket receives nothing before it is bound, so no frames of another port.
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    heard.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    heard.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    # Loss is decided below, and not by a short queue.
    heard.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    heard.bind((port, ETH_P_ALL))
    heard.setblocking(False)
    return heard


class Relay:
    def __init__(self, delay, jitter, loss, ports):
        self.delay, self.jitter, self.loss = delay, jitter, loss
        self.ports = ports
        # The port of each address that has sent a frame.
        self.homes = {}
        # Frames in transit: due time, a number so that the heap compares nothing else, port, frame.
        self.late = []
        self.count = 0

    def hear(self, port):
        for _ in range(TURN):
            try:
                frame = port.recv(LONGEST)
            except OSError:
                # There are no more frames, or the port is gone.
                return
            to, sender = frame[NOTES:NOTES + 6], frame[NOTES + 6:NOTES + 12]
            self.homes[sender] = port
            # A multicast address (its lowest bit is set) is never a sender's: such a frame goes to all ports.
            home = self.homes.get(to)
            for other in self.ports if home is None else [home]:
                if other is not port and random.random() >= self.loss:
                    due = time.monotonic() + self.delay + random.uniform(-self.jitter, self.jitter)
                    self.count += 1
                    heapq.heappush(self.late, (due, self.count, other, frame))

    def send_what_is_due(self):
        while self.late and self.late[0][0] <= time.monotonic():
            _, _, port, frame = heapq.heappop(self.late)
            try:
                port.send(frame)
            except OSError:
                # Frames are lost on any network if a queue is full or a host is gone.
                pass

    def run(self, until):
        while True:
            wait = max(0, self.late[0][0] - time.monotonic()) if self.late else None
            ready, _, _ = select.select([until, *self.ports], [], [], wait)
            if until in ready:
                return
            for port in ready:
                self.hear(port)
            self.send_what_is_due()


def main():
    delay, jitter, loss = (float(text) for text in sys.argv[1:4])
    ports = [listen(port) for port in sys.argv[4:]]
    print("ready", flush=True)
    Relay(delay / 1e3, jitter / 1e3, loss / 1e2, ports).run(sys.stdin)


main()
