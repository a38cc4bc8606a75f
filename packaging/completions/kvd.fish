# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kvd_global_optspecs
    string join \n name= data-dir= wal-dir= admin-socket= memory-mlock= listen-client-urls= listen-client-http-urls= listen-metrics-urls= listen-peer-urls= initial-advertise-peer-urls= advertise-client-urls= socket-reuse-port= socket-reuse-address= initial-cluster= initial-cluster-state= initial-cluster-token= discovery-endpoints= discovery-token= discovery-dial-timeout= discovery-request-timeout= discovery-keepalive-time= discovery-keepalive-timeout= discovery-insecure-transport= discovery-insecure-skip-tls-verify= discovery-cert= discovery-key= discovery-cacert= discovery-user= discovery-password= discovery-srv= discovery-srv-name= discovery-fallback= discovery= discovery-proxy= join-peers= join-role= join-timeout= heartbeat-interval= election-timeout= pre-vote= strict-reconfig-check= max-learners= snapshot-count= snapshot-catchup-entries= initial-election-tick-advance= max-snapshots= max-wals= raft-read-timeout= raft-write-timeout= downgrade-check-time= quota-backend-bytes= backend-batch-interval= backend-batch-limit= lmdb-map-size-bytes= auto-compaction-mode= auto-compaction-retention= compaction-batch-limit= compaction-sleep-interval= bootstrap-defrag-threshold-megabytes= corrupt-check-time= compact-hash-check-time= backend-bbolt-freelist-type= max-txn-ops= max-request-bytes= max-concurrent-streams= max-unsent-bytes= grpc-keepalive-min-time= grpc-keepalive-interval= grpc-keepalive-timeout= watch-progress-notify-interval= cert-file= key-file= client-cert-auth= client-crl-file= client-cert-allowed-hostname= trusted-ca-file= auto-tls= self-signed-cert-validity= cipher-suites= tls-min-version= tls-max-version= client-cert-file= client-key-file= cluster-secret-file= cluster-secret= peer-auth= peer-cert-file= peer-key-file= peer-client-cert-file= peer-client-key-file= peer-client-cert-auth= peer-trusted-ca-file= peer-auto-tls= peer-crl-file= peer-cert-allowed-cn= peer-cert-allowed-hostname= peer-skip-client-san-verification= enable-grpc-gateway= enable-v2= cors= host-whitelist= metrics= v2-deprecation= experimental-enable-v2v3= enable-pprof= auth-token= bcrypt-cost= auth-token-ttl= log-level= log-format= log-outputs= enable-log-rotation= log-rotation-config-json= warning-apply-duration= warning-unary-request-duration= logger= enable-distributed-tracing= distributed-tracing-address= distributed-tracing-service-name= distributed-tracing-instance-id= distributed-tracing-sampling-rate= audit-output= audit-methods= audit-prefixes= audit-users= audit-max-size-megabytes= audit-max-files= feature-gates= force-new-cluster= unsafe-no-fsync= config-file= version experimental-backend-bbolt-freelist-type= experimental-bootstrap-defrag-threshold-megabytes= experimental-compact-hash-check-enabled= experimental-compact-hash-check-time= experimental-compaction-batch-limit= experimental-compaction-sleep-interval= experimental-corrupt-check-time= experimental-distributed-tracing-address= experimental-distributed-tracing-instance-id= experimental-distributed-tracing-sampling-rate= experimental-distributed-tracing-service-name= experimental-downgrade-check-time= experimental-enable-distributed-tracing= experimental-enable-lease-checkpoint= experimental-enable-lease-checkpoint-persist= experimental-initial-corrupt-check= experimental-max-learners= experimental-memory-mlock= experimental-peer-skip-client-san-verification= experimental-snapshot-catchup-entries= experimental-stop-grpc-service-on-defrag= experimental-txn-mode-write-with-shared-buffer= experimental-warning-apply-duration= experimental-warning-unary-request-duration= experimental-watch-progress-notify-interval= proxy= proxy-failure-wait= proxy-refresh-interval= proxy-dial-timeout= proxy-write-timeout= proxy-read-timeout= debug= log-output= log-package-levels= next-cluster-version-compatible= cluster-active-size= cluster-remove-delay= cluster-sync-interval= config= force= max-result-buffer= max-retry-attempts= peer-heartbeat-interval= peer-election-timeout= retry-interval= snapshot= v= vv= test.coverprofile= test.outputdir= h/help
end

function __fish_kvd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kvd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kvd_using_subcommand
    set -l cmd (__fish_kvd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kvd -n "__fish_kvd_needs_command" -l name -d 'The member\'s name. No other member of the cluster has the same. [default: default]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l data-dir -d 'The directory of everything the member must not lose. Without it: $STATE_DIRECTORY if systemd sets it, /var/lib/kv if /etc/kv/cluster.toml exists, and NAME.etcd in the working directory otherwise.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l wal-dir -d 'Another directory for the raft log, on a disk of its own. Without it: inside data-dir.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l admin-socket -d 'The socket for reload and status on this machine. Without it: admin.sock in $RUNTIME_DIRECTORY if systemd sets it.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l memory-mlock -d 'Locks the process into memory. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l listen-client-urls -d 'Addresses on which kvd listens for clients. An https URL needs cert-file and key-file, or auto-tls. [default: http://localhost:2379]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l listen-client-http-urls -d 'Addresses on which kvd listens for JSON and HTTP only; listen-client-urls then serve gRPC only.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l listen-metrics-urls -d 'More addresses that serve /metrics, /health, /livez and /readyz.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l listen-peer-urls -d 'Addresses on which kvd listens for other members. Members talk QUIC over UDP with mutual TLS whatever the scheme says; http, https and quic are accepted. [default: http://localhost:2380]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l initial-advertise-peer-urls -d 'The URLs at which other members reach this one. [default: http://localhost:2380]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l advertise-client-urls -d 'The URLs at which clients reach this member; the cluster gives them to clients. Required if listen-client-urls is given. [default: http://localhost:2379]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l socket-reuse-port -d 'Sets SO_REUSEPORT on listeners. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l socket-reuse-address -d 'Sets SO_REUSEADDR on listeners. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l initial-cluster -d 'The members with which the cluster begins, this one among them. Without it: this member alone.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l initial-cluster-state -d 'new begins a cluster; existing joins one that runs. [default: new]' -r -f -a "new\t''
existing\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l initial-cluster-token -d 'A name that keeps clusters apart; all ids depend on it. It is no secret: cluster-secret-file or certificates keep strangers out. [default: etcd-cluster]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-endpoints -d 'The endpoints of an etcd cluster through which the members find each other.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-token -d 'The token of the cluster that discovery-endpoints are asked about.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-dial-timeout -d 'Discovery: how long to try to connect. [default: 2s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-request-timeout -d 'Discovery: how long to wait for a response. [default: 5s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-keepalive-time -d 'Discovery: the interval of pings. [default: 2s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-keepalive-timeout -d 'Discovery: how long to wait for the response to a ping. [default: 6s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-insecure-transport -d 'Discovery: connect without TLS. [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-insecure-skip-tls-verify -d 'Discovery: accept any server certificate. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-cert -d 'Discovery: the client certificate.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-key -d 'Discovery: the client certificate\'s key.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-cacert -d 'Discovery: the CA of the servers.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-user -d 'Discovery: the user, or user:password.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-password -d 'Discovery: the user\'s password.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-srv -d 'The DNS domain whose SRV records _etcd-server-ssl._tcp and _etcd-server._tcp name the members.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-srv-name -d 'A suffix to the names of the services in DNS.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-fallback -d 'What to do if discovery fails. [default: exit]' -r -f -a "exit\t''
proxy\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l discovery -d 'The URL of a v2 discovery service.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l discovery-proxy -d 'A proxy to the v2 discovery service.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l join-peers -d 'Members of the cluster to join in one step: their peer URLs, or host:port. Needs initial-cluster-state existing.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l join-role -d 'Joins as a voter, which votes once it has caught up, or as a learner, which does not vote until it is promoted. [default: voter]' -r -f -a "voter\t''
learner\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l join-timeout -d 'How long to try to join; 0 for ever. [default: 2m]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l heartbeat-interval -d 'The time between two heartbeats of a leader. [default: 100]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l election-timeout -d 'How long members wait for a leader before they elect another; at least five heartbeats, at most 50 s. [default: 1000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l pre-vote -d 'Asks whether an election could be won before it begins one, so that a member that returns does not depose the leader. [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l strict-reconfig-check -d 'Refuses membership changes that would lose the quorum. [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l max-learners -d 'The most learners in the cluster. [default: 1]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l snapshot-count -d 'How many log entries are kept before the log is cut at the last checkpoint. [default: 10000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l snapshot-catchup-entries -d 'How many entries stay in the log for slow followers when it is cut; a follower further behind gets a snapshot. [default: 5000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l initial-election-tick-advance -d 'Speeds up the first election. [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l max-snapshots -d 'How many snapshot files are kept. [default: 5]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l max-wals -d 'How many log files are kept. [default: 5]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l raft-read-timeout -d 'The read timeout of connections between members. [default: 5s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l raft-write-timeout -d 'The write timeout of connections between members. [default: 5s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l downgrade-check-time -d 'How often a downgrade is looked for. [default: 5s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l quota-backend-bytes -d 'The size of the store above which writes are refused; a negative number means no limit. 0 means 2147483648. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l backend-batch-interval -d 'The longest time between two checkpoints of the state into LMDB. Nothing is lost between two: the log is flushed before each response. 0 means 1s. [default: 0s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l backend-batch-limit -d 'The most operations between two checkpoints. 0 means 2000. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l lmdb-map-size-bytes -d 'The address space reserved for LMDB, which the store cannot outgrow; it takes neither memory nor disk. 0 lets kvd choose. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l auto-compaction-mode -d 'Whether auto-compaction-retention is a time or a number of revisions. [default: periodic]' -r -f -a "periodic\t''
revision\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l auto-compaction-retention -d 'How much history automatic compaction keeps: with periodic a duration or whole hours, with revision a number of revisions. 0 turns it off. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l compaction-batch-limit -d 'How many revisions one step of a compaction removes. 0 means 1000. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l compaction-sleep-interval -d 'The pause between two steps of a compaction. 0 means 10ms. [default: 0s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l bootstrap-defrag-threshold-megabytes -d 'Defragments at the start if that frees so many megabytes; 0 means never. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l corrupt-check-time -d 'How often members compare their data; 0 means never. [default: 0s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l compact-hash-check-time -d 'How often members compare the hashes of compactions, with the gate CompactHashCheck. [default: 1m]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l backend-bbolt-freelist-type -d 'The form of bbolt\'s free list.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l max-txn-ops -d 'The most operations in one transaction. [default: 128]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l max-request-bytes -d 'The largest request in bytes. [default: 1572864]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l max-concurrent-streams -d 'The most HTTP/2 streams of one client connection. The default is 10000 in fact: more would take more memory than one client should have. 0 means 4294967295. [default: 4294967295]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l max-unsent-bytes -d 'The most memory, in bytes, for what is read for clients and for answers that they have not read yet, over all connections. Beyond it a request whose answer is not small gets "too many requests", and streams wait; a single answer has half of it at most. It is never less than eight times max-request-bytes. [default: 402653184]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l grpc-keepalive-min-time -d 'The shortest interval at which a client may ping; one that pings more often is disconnected. 0 allows all. [default: 5s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l grpc-keepalive-interval -d 'How often the server pings an idle client connection. 0 means never. [default: 2h]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l grpc-keepalive-timeout -d 'How long the server waits for the response to its ping before it closes the connection. 0 means the library\'s default. [default: 20s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l watch-progress-notify-interval -d 'How often an idle watcher that asked for it gets the current revision; at least 100ms. 0 means 10m. [default: 0s]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l cert-file -d 'The certificate that kvd shows to clients; PEM, with its chain. A reload reads it again.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l key-file -d 'The key of cert-file.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l client-cert-auth -d 'Demands a certificate of every client, issued by trusted-ca-file; its common name is the user if auth is enabled. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l client-crl-file -d 'Revoked client certificates; PEM.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l client-cert-allowed-hostname -d 'Names of which a client\'s certificate must carry one.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l trusted-ca-file -d 'The CA certificates of clients; PEM. With it every client must show a certificate of one of them.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l auto-tls -d 'Makes a self-signed certificate for clients. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l self-signed-cert-validity -d 'How many years a self-signed certificate is valid. 0 means 1. [default: 1]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l cipher-suites -d 'The TLS 1.2 cipher suites for clients, in Go\'s names. Without it: those that are safe.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l tls-min-version -d 'The lowest TLS version for clients. Members always use 1.3. [default: TLS1.2]' -r -f -a "TLS1.2\t''
TLS1.3\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l tls-max-version -d 'The highest TLS version for clients. Without it: the newest.' -r -f -a "TLS1.2\t''
TLS1.3\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l client-cert-file -d 'A certificate for the server\'s connections to itself.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l client-key-file -d 'The key of client-cert-file.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l cluster-secret-file -d 'A file with the secret that all members share, from which each issues its own certificate. Without it: the systemd credential kvd.cluster-secret, if there is one.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l cluster-secret -d 'The secret itself; at least 16 characters. A file or a credential is better.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l peer-auth -d 'required refuses to start without a secret or certificates if other machines reach listen-peer-urls; without any configuration file, as in etcd\'s documents, that is a warning only. none starts all the same: whoever reaches the peer port can join and read everything. [default: required]' -r -f -a "required\t''
none\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l peer-cert-file -d 'The certificate that kvd shows to other members; PEM, with its chain. A reload reads it again. Without it kvd issues one from the cluster\'s secret.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-key-file -d 'The key of peer-cert-file.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-client-cert-file -d 'Another certificate for connections that this member opens.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-client-key-file -d 'The key of peer-client-cert-file.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-client-cert-auth -d 'Demands certificates of other members. kvd always does. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l peer-trusted-ca-file -d 'The CA certificates of members; PEM. It may hold two while the CA is exchanged.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-auto-tls -d 'Encrypts between members without certificate files. kvd does whenever there are none. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l peer-crl-file -d 'Revoked certificates of members; PEM.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-cert-allowed-cn -d 'Common names of which a member\'s certificate must carry one.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-cert-allowed-hostname -d 'Names of which a member\'s certificate must carry one.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l peer-skip-client-san-verification -d 'Does not compare a connecting member\'s address with its certificate. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l enable-grpc-gateway -d 'Serves the JSON gateway (/v3/...) beside gRPC. [default: true]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l enable-v2 -d 'Serves the /v2 interface. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l cors -d 'The origins whose pages may call the HTTP interfaces; * for all. [default: *]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l host-whitelist -d 'The Host names to which plain HTTP responds; * for all. [default: *]' -r
complete -c kvd -n "__fish_kvd_needs_command" -l metrics -d 'extensive adds a histogram of every gRPC method. [default: basic]' -r -f -a "basic\t''
extensive\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l v2-deprecation -d 'The phase of the v2 store\'s retirement. [default: write-only]' -r -f -a "not-yet\t''
write-only\t''
write-only-skip-check\t''
write-only-drop-data\t''
gone\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-enable-v2v3 -d 'Serves /v2/keys on keys under this prefix.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l enable-pprof -d 'Serves Go\'s profiler. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l auth-token -d 'The tokens of logged-in users: simple (valid on every member, also after a restart), or jwt with its parameters (jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=DURATION). [default: simple]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l bcrypt-cost -d 'The cost of a password\'s hash, from 4 to 31. [default: 10]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l auth-token-ttl -d 'How long a simple token is valid after its last use; on members where it was not used, up to twice as long. [default: 300]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l log-level -d 'The least level that is logged; panic and fatal are the same as error. [default: info]' -r -f -a "debug\t''
info\t''
warn\t''
error\t''
panic\t''
fatal\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l log-format -d 'Plain lines, or one JSON object a line; auto is plain on a terminal and JSON otherwise. etcd\'s default is json. [default: auto]' -r -f -a "auto\t''
console\t''
json\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l log-outputs -d 'Where logs go: default (the journal under systemd, standard error otherwise), stderr, stdout, systemd/journal, or files. [default: default]' -r
complete -c kvd -n "__fish_kvd_needs_command" -l enable-log-rotation -d 'Rotates the one file of log-outputs as log-rotation-config-json says. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l log-rotation-config-json -d 'Rotation: at maxsize megabytes (0 means 100) a file gets a name with the time, local with localtime, and a new one begins; compress gzips the old one. Files older than maxage days or beyond maxbackups are removed; 0 keeps all. [default: {"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l warning-apply-duration -d 'An entry that takes longer than this to apply is logged, and counted in the metrics. [default: 100ms]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l warning-unary-request-duration -d 'A request that takes longer than this is logged. 0 means 300ms. [default: 300ms]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l logger -d 'The log library. [default: zap]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l enable-distributed-tracing -d 'Exports traces. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l distributed-tracing-address -d 'The collector of traces. [default: localhost:4317]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l distributed-tracing-service-name -d 'The service\'s name in traces. [default: etcd]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l distributed-tracing-instance-id -d 'The instance\'s id in traces.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l distributed-tracing-sampling-rate -d 'Traces sampled out of a million. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l audit-output -d 'Where the audit goes: journal, or a file, which only its owner can read. It says who (user, certificate, address) called which method on which keys, with the outcome and the duration; no values. Without it there is no audit.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l audit-methods -d 'Only these methods are recorded: by name (Put), by service (KV, Auth), or by path (/etcdserverpb.KV/Put). Without it: all.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l audit-prefixes -d 'Of the calls that name keys, only those with a key below one of these prefixes are recorded. Without it: all.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l audit-users -d 'Only calls of these users are recorded. Without it: all.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l audit-max-size-megabytes -d 'A file of the audit that is this large gets a name with the time, and a new one begins. [default: 100]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l audit-max-files -d 'How many full files of the audit are kept. [default: 10]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l feature-gates -d 'Feature gates to turn on or off, by etcd\'s names. None of them changes what kvd does yet; kvd warns of one that is turned on or off, and says why.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l force-new-cluster -d 'Starts a cluster of one member from this member\'s data. For the loss of a majority, and for one start only. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l unsafe-no-fsync -d 'Does not flush the log. A crash of the machine loses or spoils data. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l config-file -d 'The configuration file, instead of /etc/kv/cluster.toml. All *.toml of the directory FILE.d are read after it. Also $KVD_CONFIG_FILE.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-backend-bbolt-freelist-type -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-bootstrap-defrag-threshold-megabytes -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-compact-hash-check-enabled -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-compact-hash-check-time -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-compaction-batch-limit -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-compaction-sleep-interval -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-corrupt-check-time -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-distributed-tracing-address -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-distributed-tracing-instance-id -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-distributed-tracing-sampling-rate -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-distributed-tracing-service-name -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-downgrade-check-time -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-enable-distributed-tracing -d 'The former name of another option.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-enable-lease-checkpoint -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-enable-lease-checkpoint-persist -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-initial-corrupt-check -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-max-learners -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-memory-mlock -d 'The former name of another option.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-peer-skip-client-san-verification -d 'The former name of another option.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-snapshot-catchup-entries -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-stop-grpc-service-on-defrag -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-txn-mode-write-with-shared-buffer -d 'The former flag of a feature gate.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-warning-apply-duration -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-warning-unary-request-duration -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l experimental-watch-progress-notify-interval -d 'The former name of another option.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l proxy -d 'Runs a v2 proxy. [default: off]' -r -f -a "off\t''
readonly\t''
on\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l proxy-failure-wait -d 'Of the v2 proxy. [default: 5000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l proxy-refresh-interval -d 'Of the v2 proxy. [default: 30000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l proxy-dial-timeout -d 'Of the v2 proxy. [default: 1000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l proxy-write-timeout -d 'Of the v2 proxy. [default: 5000]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l proxy-read-timeout -d 'Of the v2 proxy. [default: 0]' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l debug -d 'Logs more; now log-level debug. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l log-output -d 'The former name of another option.' -r
complete -c kvd -n "__fish_kvd_needs_command" -l log-package-levels -d 'Log levels of Go packages.' -r -f
complete -c kvd -n "__fish_kvd_needs_command" -l next-cluster-version-compatible -d 'Lets the cluster version rise. [default: false]' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l cluster-active-size -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l cluster-remove-delay -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l cluster-sync-interval -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l config -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l force -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l max-result-buffer -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l max-retry-attempts -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l peer-heartbeat-interval -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l peer-election-timeout -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l retry-interval -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l snapshot -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l v -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l vv -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l test.coverprofile -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l test.outputdir -d 'Without meaning.' -r -f -a "true\t''
false\t''"
complete -c kvd -n "__fish_kvd_needs_command" -l version -d 'Prints the version and exits.'
complete -c kvd -n "__fish_kvd_needs_command" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_needs_command" -f -a "check" -d 'Tell whether the configuration is good (exit 0) or not (exit 78)'
complete -c kvd -n "__fish_kvd_needs_command" -f -a "config" -d 'Look at the configuration, or make one from etcd\'s'
complete -c kvd -n "__fish_kvd_needs_command" -f -a "secret" -d 'The secret by which members know each other'
complete -c kvd -n "__fish_kvd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand check" -l json -d 'Print findings as JSON'
complete -c kvd -n "__fish_kvd_using_subcommand check" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -f -a "show" -d 'Print the values in force; secrets are masked'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -f -a "diff" -d 'Print what differs from the defaults, or from another file'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -f -a "from-etcd" -d 'Turn what sets up an etcd into a cluster.toml on standard output'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -f -a "dropin" -d 'Let kvd.service write where data-dir, wal-dir and log files are; as root'
complete -c kvd -n "__fish_kvd_using_subcommand config; and not __fish_seen_subcommand_from show diff from-etcd dropin help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from show" -l origin -d 'With the origin of each value'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'As JSON, with origins'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from from-etcd" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from dropin" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the values in force; secrets are masked'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Print what differs from the defaults, or from another file'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "from-etcd" -d 'Turn what sets up an etcd into a cluster.toml on standard output'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "dropin" -d 'Let kvd.service write where data-dir, wal-dir and log files are; as root'
complete -c kvd -n "__fish_kvd_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and not __fish_seen_subcommand_from new help" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and not __fish_seen_subcommand_from new help" -f -a "new" -d 'Make a secret for a new cluster'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and not __fish_seen_subcommand_from new help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "new" -d 'Make a secret for a new cluster'
complete -c kvd -n "__fish_kvd_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand help; and not __fish_seen_subcommand_from check config secret help" -f -a "check" -d 'Tell whether the configuration is good (exit 0) or not (exit 78)'
complete -c kvd -n "__fish_kvd_using_subcommand help; and not __fish_seen_subcommand_from check config secret help" -f -a "config" -d 'Look at the configuration, or make one from etcd\'s'
complete -c kvd -n "__fish_kvd_using_subcommand help; and not __fish_seen_subcommand_from check config secret help" -f -a "secret" -d 'The secret by which members know each other'
complete -c kvd -n "__fish_kvd_using_subcommand help; and not __fish_seen_subcommand_from check config secret help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kvd -n "__fish_kvd_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print the values in force; secrets are masked'
complete -c kvd -n "__fish_kvd_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "diff" -d 'Print what differs from the defaults, or from another file'
complete -c kvd -n "__fish_kvd_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "from-etcd" -d 'Turn what sets up an etcd into a cluster.toml on standard output'
complete -c kvd -n "__fish_kvd_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "dropin" -d 'Let kvd.service write where data-dir, wal-dir and log files are; as root'
complete -c kvd -n "__fish_kvd_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "new" -d 'Make a secret for a new cluster'
