# Leases.
run lease list
lease 600
first=$LEASE
run lease timetolive "$first"
run put l/1 a --lease="$first"
run put l/2 b --lease="$first"
run lease timetolive "$first" --keys | sed 's/l\/2 l\/1/l\/1 l\/2/'
run lease keep-alive "$first" --once
run lease keep-alive "$first" --once -w json
run lease timetolive "$first" -w json | sed -E 's/"ttl":[0-9]+/"ttl":N/'
run lease timetolive "$first" -w fields | sed -E 's/"TTL" : [0-9]+/"TTL" : N/'
lease 700
second=$LEASE
run put l/1 moved --lease="$second"
run lease list | sort
begin revoked watch l/ --prefix --rev 2
run lease revoke "$first"
run get l/ --prefix -w json
run lease revoke "$first"
run lease timetolive "$first"
run lease timetolive "$first" -w json
run lease keep-alive "$first" --once
# Long enough for a busy machine; the client notices the end after a third of it.
lease 9
begin kept lease keep-alive "$LEASE"
await kept keepalived
run lease revoke "$LEASE"
ended kept >.kept
uniq .kept
run lease revoke "$second"
run get l/ --prefix
await revoked DELETE 2
finish revoked
run lease grant 9000000001
run lease grant 0
run lease grant -- -7
run lease grant x
run lease grant
run lease revoke nothex
run lease revoke 1234
run put l/3 c --lease=1234
# Expiry: the key is deleted, with a delete event.
lease 5
run put l/4 d --lease="$LEASE"
begin expired watch l/4 --rev 2
await expired DELETE
finish expired
run get l/4
run lease timetolive "$LEASE"
