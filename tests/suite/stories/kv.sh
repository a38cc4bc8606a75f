# Putting keys, with every flag.
run put greeting hello
run put greeting world --prev-kv
run put empty ''
run get empty
printf 'from standard input' | run put piped
run get piped
run put -- -dash -value
run get -- -dash
run put 'with space' $'two\nlines'
run get 'with space'
run put $'\x01binary' $'\xff\xfe'
run get $'\x01binary' -w json
run get $'\x01binary' --hex
run put greeting --ignore-value
run get greeting -w json
run put missing --ignore-value
run put greeting x --ignore-value
run put missing v --ignore-lease
run put ''  v
run put a
run put k v --lease=12ab
lease 500
run put leased v --lease="$LEASE"
run get leased -w json
run put leased w --ignore-lease --prev-kv
run get leased -w fields
run put leased x
run get leased -w json
run put k v --lease=zz
big=$(head -c 100000 /dev/zero | tr '\0' 'v')
run put big "$big" >.big
tail -n 1 .big
run get big --print-value-only | wc -c
