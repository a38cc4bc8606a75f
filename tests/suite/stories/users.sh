# server: --bcrypt-cost=4
# Users: adding, changing and deleting them, while authentication is off.
run user list
run user add root:secret
run user add alice --new-user-password wonder
run user add name:with:colons
run user add colon:name --new-user-password x
printf 'typed\ntyped\n' | run user add bob
printf 'typed\nother\n' | run user add carol
printf '\n' | run user add carol
run user add carol
printf 'typed' | run user add carol
printf 'two words\nnext line\n' | run user add dave --interactive=false
printf '\n' | run user add empty --interactive=false
run user add eve --no-password
run user add with:pw --no-password
run user add :nameless
run user add '' --no-password
run user add
run user add one two
run user add alice --new-user-password again
run user add alice:again
run user add bob --no-such-flag
run user add bob --interactive=perhaps
for format in simple json fields table nonsense; do run user list -w "$format"; done
# The ids before them differ between servers.
run user list -w protobuf | tail -c 16 | od -An -c
run user list extra
run user get alice
run user get alice --detail
run user get nobody
run user get
run user get a b
run role add reader
run role add writer
run role grant-permission reader read key
run role grant-permission reader read dir/ --prefix
run role grant-permission writer readwrite a z
run user grant-role alice reader
run user grant-role alice writer
run user grant-role alice reader
run user grant-role alice nothing
run user grant-role nobody reader
run user grant-role alice
run user get alice
run user get alice --detail
run user get alice --detail -w json
run user get alice --detail -w fields
for format in json fields table nonsense; do
    run user get alice -w "$format"
    run user grant-role bob reader -w "$format"
    run user revoke-role bob reader -w "$format"
    run user add "new-$format:pw" -w "$format"
    run user delete "new-$format" -w "$format"
    # kvctl refuses the format before it asks.
    [[ $format == nonsense ]] || printf 'a\na\n' | run user passwd bob -w "$format"
done
run user get alice -w json --hex
run user revoke-role alice writer
run user revoke-role alice writer
run user revoke-role nobody writer
run user revoke-role alice
printf 'new\nnew\n' | run user passwd alice
printf 'new\nold\n' | run user passwd alice
printf '\n' | run user passwd alice
printf 'piped\n' | run user passwd alice --interactive=false
printf 'piped\n' | run user passwd nobody --interactive=false
run user passwd
run user delete alice
run user delete alice
run user delete
run user list
