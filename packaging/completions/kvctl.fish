# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kvctl_global_optspecs
    string join \n endpoints= cacert= cert= key= w/write-out= hex= dial-timeout= command-timeout= insecure-transport= insecure-skip-tls-verify= config-file= h/help V/version
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
complete -c kvctl -n "__fish_kvctl_needs_command" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_needs_command" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_needs_command" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
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
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "endpoint" -d 'Show the state of each member'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "member" -d 'The cluster\'s members'
complete -c kvctl -n "__fish_kvctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l admin-socket -d 'kvd\'s socket, instead of the one that its configuration names' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and not __fish_seen_subcommand_from health status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l wait -d 'Repeat until all are good, for ever or for at most this long' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -l cluster -d 'Use the endpoints of all members, as the cluster lists them'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from health" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l wait -d 'Repeat until all are good, for ever or for at most this long' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -l cluster -d 'Use the endpoints of all members, as the cluster lists them'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand endpoint; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -f -a "list" -d 'List all members'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and not __fish_seen_subcommand_from list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l consistency -d 'Linearizable, or serializable: as the member that is asked knows them [default: l]' -r -f -a "l\t''
s\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l endpoints -d 'Members to connect to; http://, https:// and unix:// are accepted' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l cacert -d 'The CA that signs the servers\' certificates (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l cert -d 'A client certificate (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l key -d 'The certificate\'s key (PEM)' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -s w -l write-out -d 'simple (default), table, json or fields' -r -f -a "simple\t''
table\t''
json\t''
fields\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l hex -d 'Print ids in hexadecimal (member list in json and fields)' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l dial-timeout -d 'How long to try to connect [default: 2s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l command-timeout -d 'How long to wait for an answer [default: 5s]' -r -f
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l insecure-transport -d 'Connect without TLS if no certificates are given; false: with TLS [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l insecure-skip-tls-verify -d 'Accept any server certificate: for tests only' -r -f -a "true\t''
false\t''"
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -l config-file -d 'Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml' -r
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all members'
complete -c kvctl -n "__fish_kvctl_using_subcommand member; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload endpoint member help" -f -a "reload" -d 'Make the kvd on this machine read its configuration again, and print the result'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload endpoint member help" -f -a "endpoint" -d 'Show the state of each member'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload endpoint member help" -f -a "member" -d 'The cluster\'s members'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and not __fish_seen_subcommand_from reload endpoint member help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from endpoint" -f -a "health" -d 'Check whether each endpoint answers a read that needs a quorum'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from endpoint" -f -a "status" -d 'Print version, size, leader and raft\'s state of each endpoint'
complete -c kvctl -n "__fish_kvctl_using_subcommand help; and __fish_seen_subcommand_from member" -f -a "list" -d 'List all members'
