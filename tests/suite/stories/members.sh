# Membership changes that are possible with one member.
run member list
peers=$("$ETCDCTL" member list | cut -d, -f4 | tr -d ' ')
me=$("$ETCDCTL" member list | cut -d, -f1)
run member remove "$me"
run member remove 1234
run member promote "$me"
run member promote 1234
run member update 1234 --peer-urls=http://127.0.0.1:9
run member update "$me" --peer-urls="$peers"
run member add next
run member add next --peer-urls=nonsense
run member add next --peer-urls="$peers"
run member add next --learner --peer-urls=http://127.0.0.1:9 | tr ',"' '\n\n' | sort
run member list | sort -t, -k2
learner=$("$ETCDCTL" member list | grep unstarted | cut -d, -f1)
run member add third --learner --peer-urls=http://127.0.0.1:11
run member promote "$learner"
run member update "$learner" --peer-urls=http://127.0.0.1:10
run member list | sort -t, -k2
run put while learning
run get while
run member remove "$learner"
run member remove "$learner"
run member list
