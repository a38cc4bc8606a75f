# Every output format.
run put f/1 one
run put f/2 two
lease 900
run put f/3 three --lease="$LEASE"
for format in json fields table simple nonsense; do
    run put f/1 1 --prev-kv -w "$format"
    run alarm list -w "$format"
    run endpoint health -w "$format"
    run lease timetolive 1234 -w "$format"
done
# Only the revision and the key of the term from the header: the ids before them and the term differ between servers.
run put f/1 p -w protobuf | tail -c 4 | head -c 3 | od -An -tx1
run endpoint health -w protobuf
run put f/1 x --prev-kv -w json
run put f/1 y --prev-kv -w fields
run get f/ --prefix -w fields --hex
run get f/ --prefix -w json --hex
run get f/ --prefix -w table
run del f/1 --prev-kv -w json
run lease list -w json
run lease list -w fields
run lease grant 30 -w json
run lease grant 30 -w fields
run lease revoke "$LEASE" -w json
run alarm list -w json
run compact 3 -w json
# The hash covers the id of the lease.
run endpoint hashkv -w fields | grep -v '"Hash"'
run endpoint hashkv -w table | head -n 3
run member list -w json --hex
