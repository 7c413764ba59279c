# ostler's sentinel: kills what a dead host leaves behind.
# $1: the tag in the environment of the pool's processes
# $2: what the paths of the workers' control groups begin with; empty if they have none
#
# It waits for one line of input. `over`: exit, nothing is left. `now`: kill what is left.
# End of input without a line: the host is dead, and its workers have 1 s to exit by themselves.
trap '' HUP INT QUIT TERM USR1 USR2
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 2>/dev/null
tag=$1
groups=$2
find_tagged() {
    tagged=$(grep -lsF -e "$tag" /proc/[0-9]*/environ)
    [ "$tagged" ]
}
find_groups() {
    set -- "$groups"*/
    [ "$groups" ] && [ -d "$1" ]
}
read -r word
[ "$word" = over ] && exit
looks=0
while [ ! "$word" ] && [ $((looks += 1)) -le 5 ] && find_tagged; do
    sleep 0.2 || sleep 1
done
# A process may start another one while it is being killed, so search until nothing is found.
# What this shell starts carries no tag.
rounds=0
while [ $((rounds += 1)) -le 50 ] && find_tagged; do
    for environ in $tagged; do
        process=${environ#/proc/}
        kill -KILL "${process%/environ}"
    done
done
rounds=0
while [ $((rounds += 1)) -le 50 ] && find_groups; do
    for group in "$groups"*/; do
        echo 1 > "${group}cgroup.kill"
        rmdir "$group"*/ "$group"
    done
    find_groups && { sleep 0.02 || sleep 1; }
done
