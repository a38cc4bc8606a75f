# Status, health, alarms, leadership.
run put a 1
run endpoint health
run endpoint health -w json
run endpoint status | cut -d, -f1,2
run endpoint status -w json | grep -oE '"(leader|errors|isLearner)":[^,}]*' || true
run endpoint status -w table | head -n 1
run endpoint hashkv
run alarm list
run alarm disarm
run defrag
run member list
run member list -w json
run member list -w table
run member list -w fields
run move-leader 1234
run move-leader zz
run move-leader
me=$("$ETCDCTL" member list | cut -d, -f1)
run move-leader "$me"
run auth status
run version
run downgrade validate 3.6
run downgrade validate 3.5.0
run downgrade validate 3.7
run downgrade validate nonsense
run downgrade enable 3.5
run downgrade cancel
run downgrade enable 3.6
