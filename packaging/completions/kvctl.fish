# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kvctl_global_optspecs
    string join \n endpoints= user= password= auth-jwt-token= cacert= cert= key= w/write-out= hex= dial-timeout= command-timeout= insecure-transport= insecure-skip-tls-verify= config-file= h/help V/version
end

function __fish_kvctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kvctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kvctl_using_subcommand
    set -l cmd (__fish_kvctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kvctl -n "__fish_kvctl_needs_command" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_needs_command" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_needs_command" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_needs_command" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_needs_command" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_needs_command" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_needs_command" -s V -l version -d 'Print version'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "reload" -d 'Make the kvd on this machine read its configuration again, and print the result'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "put" -d 'Write a key'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "get" -d 'Read a key, or the keys from KEY to before RANGE_END'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "del" -d 'Delete a key, or the keys from KEY to before RANGE_END'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "txn" -d 'Compare keys and change them in one transaction, which is read from standard input'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "compaction" -d 'Forget what the keys were before a revision'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "watch" -d 'Print each change of a key or a range of keys'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "lease" -d 'Leases, with which keys end'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "lock" -d 'Hold a lock until a signal, or as long as COMMAND runs'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "elect" -d 'Take part in an election until a signal, or print who leads'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "make-mirror" -d 'Copy keys to another cluster, and go on with each change'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "endpoint" -d 'Show the state of each member'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "member" -d 'The cluster\'s members'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "alarm" -d 'What stops the cluster from writing'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "defrag" -d 'Give free space in the members\' files back to the system'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "move-leader" -d 'Make another member the leader'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "snapshot" -d 'Backups'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "downgrade" -d 'Go back to an older version'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "auth" -d 'Turn authentication on or off'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "user" -d 'Users, and the roles that they have'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "role" -d 'Roles, and the permissions that they have'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "version" -d 'Print the version of kvctl, and that of the API'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "check"
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "completion"
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "options"
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l admin-socket -d 'kvd\'s socket, instead of the one that its configuration names' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l lease -d 'The lease (hexadecimal) that the key belongs to' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l prev-kv -d 'Print what the key was before' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l ignore-value -d 'Keep the value, change the lease' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l ignore-lease -d 'Keep the lease, change the value' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand put" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l prefix -d 'Read all keys that begin with KEY' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l from-key -d 'Read all keys that are KEY or greater, byte by byte' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l consistency -d 'Linearizable, or serializable: what the member knows, without asking the others [default: l]' -r -f -a "l\t''
s\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l limit -d 'At most this many keys' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l rev -d 'As the keys were at this revision' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l order -d 'ASCEND or DESCEND' -r -f -a "ASCEND\t''
DESCEND\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l sort-by -d 'CREATE, KEY, MODIFY, VALUE or VERSION' -r -f -a "CREATE\t''
KEY\t''
MODIFY\t''
VALUE\t''
VERSION\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l keys-only -d 'Without the values' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l count-only -d 'Only how many keys there are (with -w fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l print-value-only -d 'Print the values only (with -w simple)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l min-create-rev -d 'Keys created at this revision or later' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l max-create-rev -d 'Keys created at this revision or earlier' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l min-mod-rev -d 'Keys changed at this revision or later' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l max-mod-rev -d 'Keys changed at this revision or earlier' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l stream -d 'Fetch the keys as a stream (RangeStream)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand get" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l prefix -d 'Delete all keys that begin with KEY' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l from-key -d 'Delete all keys that are KEY or greater, byte by byte' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l prev-kv -d 'Print what is deleted' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l range -d 'Delete the range without waiting' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand del" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -s i -l interactive -d 'Print what is asked for' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand txn" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l physical -d 'Wait until the old revisions are removed from the disk' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand compaction" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l prefix -d 'All keys that begin with KEY' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l rev -d 'Begin with the changes of this revision' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l prev-kv -d 'Print what the key was before' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l progress-notify -d 'Print the revision now and then if nothing changes' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -s i -l interactive -d 'Read `watch KEY` and `progress` from standard input' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand watch" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "grant" -d 'Grant a lease: keys that belong to it are deleted when it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "revoke" -d 'End a lease and delete its keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "timetolive" -d 'Print how long a lease has to live'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "list" -d 'List all leases'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "keep-alive" -d 'Renew a lease again and again until it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and not __fish_seen_subcommand_from grant revoke timetolive list keep-alive help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from grant" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l keys -d 'Print the keys that belong to the lease' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from timetolive" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l once -d 'Renew the lease once' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from keep-alive" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "grant" -d 'Grant a lease: keys that belong to it are deleted when it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'End a lease and delete its keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "timetolive" -d 'Print how long a lease has to live'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all leases'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "keep-alive" -d 'Renew a lease again and again until it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l ttl -d 'How long the lock outlives kvctl [default: 10]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand lock" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -s l -l listen -d 'Print each leader and its proposal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand elect" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l prefix -d 'Only keys that begin with it' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l rev -d 'Only the changes from this revision on, not what is there' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l max-txn-ops -d 'Operations in one transaction [default: 128]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-prefix -d 'Replaces --prefix in the destination' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l no-dest-prefix -d 'Leave --prefix out in the destination' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-cert -d 'A client certificate for the destination' -r -F
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-key -d 'The certificate\'s key' -r -F
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-cacert -d 'The CA that signs the destination\'s certificates' -r -F
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-insecure-transport -d 'Connect to the destination without TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-user -d 'Act as this user there' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dest-password -d 'The user\'s password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand make-mirror" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -f -a "hashkv" -d 'Print the hash of the keys and their history on each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status hashkv help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cluster -d 'Use the endpoints of all members, as the cluster lists them' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l wait -d 'Repeat until all are good, for ever or for at most this long' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cluster -d 'Use the endpoints of all members, as the cluster lists them' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l wait -d 'Repeat until all are good, for ever or for at most this long' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l cluster -d 'Use the endpoints of all members, as the cluster lists them' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l rev -d 'Up to this revision [default: the last]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from hashkv" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "hashkv" -d 'Print the hash of the keys and their history on each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "add" -d 'Add a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "remove" -d 'Remove a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "update" -d 'Change the peer URLs of a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "list" -d 'List all members'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "promote" -d 'Let a learner vote'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from add remove update list promote help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l peer-urls -d 'Where the other members reach it' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l learner -d 'It does not vote yet' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l peer-urls -d 'Where the other members reach it' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l consistency -d 'Linearizable, or serializable: as the member that is asked knows them [default: l]' -r -f -a "l\t''
s\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from promote" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "update" -d 'Change the peer URLs of a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all members'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "promote" -d 'Let a learner vote'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -f -a "list" -d 'List all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -f -a "disarm" -d 'End all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and not __fish_seen_subcommand_from list disarm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from disarm" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from help" -f -a "disarm" -d 'End all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand alarm; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l cluster -d 'Use the endpoints of all members, as the cluster lists them' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand defrag" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand move-leader" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -f -a "save" -d 'Fetch the state of one member into a file, as a backup'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and not __fish_seen_subcommand_from save help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from save" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "save" -d 'Fetch the state of one member into a file, as a backup'
complete -c kvctl -n "__fish_kvctl_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -f -a "validate" -d 'Check whether the cluster can go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -f -a "enable" -d 'Begin to go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -f -a "cancel" -d 'End a downgrade that has begun'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and not __fish_seen_subcommand_from validate enable cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from validate" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from help" -f -a "validate" -d 'Check whether the cluster can go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Begin to go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'End a downgrade that has begun'
complete -c kvctl -n "__fish_kvctl_using_subcommand downgrade; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -f -a "enable" -d 'Turn authentication on; the user root must exist'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -f -a "disable" -d 'Turn authentication off'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -f -a "status" -d 'Print whether authentication is on, and the revision of users and roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and not __fish_seen_subcommand_from enable disable status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Turn authentication on; the user root must exist'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Turn authentication off'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "status" -d 'Print whether authentication is on, and the revision of users and roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "add" -d 'Add a user, and ask for the password if it is not given'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "delete" -d 'Delete a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "get" -d 'Print the roles of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "list" -d 'List all users'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "passwd" -d 'Change the password of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "grant-role" -d 'Give a role to a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "revoke-role" -d 'Take a role from a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and not __fish_seen_subcommand_from add delete get list passwd grant-role revoke-role help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l interactive -d 'Ask for the password twice; false: read one word from standard input [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l new-user-password -d 'The password; other users of this machine may see it' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l no-password -d 'Add a user without a password, whom only a certificate can name' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l detail -d 'Print the permissions of the roles, too' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l interactive -d 'Ask for the password twice; false: read one word from standard input [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from grant-role" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from revoke-role" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a user, and ask for the password if it is not given'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print the roles of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all users'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "passwd" -d 'Change the password of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "grant-role" -d 'Give a role to a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "revoke-role" -d 'Take a role from a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "add" -d 'Add a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "delete" -d 'Delete a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "get" -d 'Print the permissions of a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "list" -d 'List all roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "grant-permission" -d 'Let a role read or write keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "revoke-permission" -d 'Take a permission from a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and not __fish_seen_subcommand_from add delete get list grant-permission revoke-permission help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l prefix -d 'All keys that begin with KEY' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l from-key -d 'All keys that are KEY or greater, byte by byte' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from grant-permission" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l prefix -d 'All keys that begin with KEY' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l from-key -d 'All keys that are KEY or greater, byte by byte' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from revoke-permission" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print the permissions of a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "grant-permission" -d 'Let a role read or write keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "revoke-permission" -d 'Take a permission from a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand role; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand version" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand check" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand completion" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l user -d 'Act as this user; the password is asked for if it is not given' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l password -d 'The user\'s password; --user is then taken whole' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l auth-jwt-token -d 'Act as the user of this token, without a password' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -s w -l write-out -d 'simple (default), table, json, fields or protobuf, if the command has it' -r -f -a "simple\t''
table\t''
json\t''
fields\t''
protobuf\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l hex -d 'Print ids, and in simple keys and values, in hexadecimal' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand options" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "reload" -d 'Make the kvd on this machine read its configuration again, and print the result'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "put" -d 'Write a key'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "get" -d 'Read a key, or the keys from KEY to before RANGE_END'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "del" -d 'Delete a key, or the keys from KEY to before RANGE_END'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "txn" -d 'Compare keys and change them in one transaction, which is read from standard input'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "compaction" -d 'Forget what the keys were before a revision'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "watch" -d 'Print each change of a key or a range of keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "lease" -d 'Leases, with which keys end'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "lock" -d 'Hold a lock until a signal, or as long as COMMAND runs'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "elect" -d 'Take part in an election until a signal, or print who leads'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "make-mirror" -d 'Copy keys to another cluster, and go on with each change'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "endpoint" -d 'Show the state of each member'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "member" -d 'The cluster\'s members'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "alarm" -d 'What stops the cluster from writing'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "defrag" -d 'Give free space in the members\' files back to the system'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "move-leader" -d 'Make another member the leader'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "snapshot" -d 'Backups'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "downgrade" -d 'Go back to an older version'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "auth" -d 'Turn authentication on or off'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "user" -d 'Users, and the roles that they have'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "role" -d 'Roles, and the permissions that they have'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "version" -d 'Print the version of kvctl, and that of the API'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "check"
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "completion"
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "options"
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload put get del txn compaction watch lease lock elect make-mirror endpoint member alarm defrag move-leader snapshot downgrade auth user role version check completion options help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "grant" -d 'Grant a lease: keys that belong to it are deleted when it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "revoke" -d 'End a lease and delete its keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "timetolive" -d 'Print how long a lease has to live'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "list" -d 'List all leases'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "keep-alive" -d 'Renew a lease again and again until it ends'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from endpoint" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from endpoint" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from endpoint" -f -a "hashkv" -d 'Print the hash of the keys and their history on each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "add" -d 'Add a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "remove" -d 'Remove a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "update" -d 'Change the peer URLs of a member'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "list" -d 'List all members'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "promote" -d 'Let a learner vote'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from alarm" -f -a "list" -d 'List all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from alarm" -f -a "disarm" -d 'End all alarms'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "save" -d 'Fetch the state of one member into a file, as a backup'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from downgrade" -f -a "validate" -d 'Check whether the cluster can go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from downgrade" -f -a "enable" -d 'Begin to go back to this version'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from downgrade" -f -a "cancel" -d 'End a downgrade that has begun'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "enable" -d 'Turn authentication on; the user root must exist'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "disable" -d 'Turn authentication off'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "status" -d 'Print whether authentication is on, and the revision of users and roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Add a user, and ask for the password if it is not given'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "delete" -d 'Delete a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "get" -d 'Print the roles of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List all users'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "passwd" -d 'Change the password of a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "grant-role" -d 'Give a role to a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "revoke-role" -d 'Take a role from a user'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "add" -d 'Add a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "delete" -d 'Delete a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "get" -d 'Print the permissions of a role'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "list" -d 'List all roles'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "grant-permission" -d 'Let a role read or write keys'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from role" -f -a "revoke-permission" -d 'Take a permission from a role'
