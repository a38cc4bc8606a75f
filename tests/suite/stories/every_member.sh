# Requests to every member of the cluster, and to an endpoint that is a URL: etcdctl 3.4 then sends the whole URL as
# the authority of the call.
run put a 1
run endpoint health --cluster
run endpoint hashkv --cluster
run defrag --cluster
ETCDCTL_ENDPOINTS=http://$ETCDCTL_ENDPOINTS
run endpoint hashkv
run endpoint status | cut -d, -f1,2
