"""A program of etcd's v2 days: the library python-etcd. Prints what it sees; indexes are counted from the first one."""

import sys
import threading

import etcd

HOST, PORT = sys.argv[1].rsplit(":", 1)


def refused(call, *arguments, **options):
    try:
        print("not refused:", call(*arguments, **options))
    except etcd.EtcdException as error:
        cause = error.payload.get("cause") if error.payload else None
        print(type(error).__name__, error.payload.get("errorCode") if error.payload else None, cause)


def shown(result):
    """A result without its indexes."""
    kind = "dir" if result.dir else "key"
    before = getattr(result, "_prev_node", None)
    print(result.action, kind, result.key, result.value, result.ttl, "new" if result.newKey else "", "before:", before and before.value)


def main():
    client = etcd.Client(host=HOST, port=int(PORT), allow_redirect=True, read_timeout=60)
    print(len(client.machines), len(client.members), client.leader["name"], client.stats["state"])
    shown(client.write("/nodes/n1", 1))
    shown(client.write("/nodes/n1", 2, prevValue=1))
    refused(client.write, "/nodes/n1", 3, prevValue=1)
    refused(client.write, "/nodes/n1", 3, prevExist=False)
    refused(client.write, "/nodes/none", 3, prevExist=True)
    refused(client.read, "/nodes/none")
    refused(client.write, "/nodes/n1/below", 1)
    refused(client.write, "/nodes", 1)
    shown(client.test_and_set("/nodes/n1", 3, 2))
    shown(client.write("/texts/ä ö?#%&+", "grüße & more=1; 100%\n"))
    print([(leaf.key, leaf.value) for leaf in client.read("/texts", recursive=True).leaves])
    before = client.read("/nodes/n1")
    before.value = "changed"
    shown(client.update(before))
    refused(client.update, before) if client.write("/nodes/n1", 5) else None
    for value in ("a", "b"):
        queued = client.write("/queue", value, append=True)
        print(queued.action, len(queued.key.rsplit("/", 1)[1]), queued.value)
    print([leaf.value for leaf in client.read("/queue", recursive=True, sorted=True).leaves])
    shown(client.write("/directory", None, dir=True))
    refused(client.write, "/directory", None, dir=True)
    shown(client.delete("/directory", dir=True))
    refused(client.delete, "/queue", dir=True)
    shown(client.delete("/queue", recursive=True))
    client.write("/_hidden/key", 1)
    print(sorted(leaf.key for leaf in client.read("/", recursive=True).leaves))

    shown(client.write("/short", "lived", ttl=1))
    shown(client.write("/kept", "refreshed", ttl=600))
    shown(client.refresh("/kept", ttl=900))
    print(client.read("/kept").ttl > 600)

    # What waits gets what has happened since, and what happens.
    since = client.write("/watched", 0).modifiedIndex
    client.write("/watched", 1)
    shown(client.watch("/watched", index=since + 1))
    heard = []
    waiter = threading.Thread(target=lambda: heard.append(client.watch("/watched", recursive=True, timeout=60)))
    waiter.start()
    other = etcd.Client(host=HOST, port=int(PORT))
    while not heard:
        # The waiter may not wait yet.
        other.write("/watched", "again")
        waiter.join(0.05)
    print(heard[0].action, heard[0].key, heard[0].value)
    shown(client.watch("/short", index=since - 5, timeout=60))

    lock = etcd.Lock(client, "one")
    print(lock.acquire(blocking=True, lock_ttl=60), lock.is_acquired)
    second = etcd.Lock(etcd.Client(host=HOST, port=int(PORT)), "one")
    print(second.acquire(blocking=False, lock_ttl=60))
    lock.release()
    print(second.acquire(blocking=True, lock_ttl=60), second.is_acquired)
    second.release()


main()
