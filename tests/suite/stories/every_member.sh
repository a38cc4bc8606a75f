# clients: 3.7.3 3.5.1
# What is asked of every member of the cluster. etcdctl 3.4 names the URL as the authority of such a call, which is no
# authority to kvd's HTTP/2.
run put a 1
run endpoint health --cluster
run endpoint hashkv --cluster
run defrag --cluster
