# ostler's sentinel: kills what a dead host leaves behind.
#
# $1: this script
# $2 to $6: the paths of sh, grep, sleep, rmdir, and of setpriv, which may be missing
# $7: the directory of the workers' control groups; empty if they have none
# $8: the process id of the host
#
# Input: a line with the tag in the environment of the pool's processes, a line with what the names
# of their control groups begin with, and at the end of the pool one word. `over`: exit, nothing is
# left. `now`: kill what is left. End of input without a word: the host is dead, and its workers
# have 1 s to exit by themselves. The tag is in no command line, because every user can read those.
trap '' HUP INT QUIT TERM USR1 USR2
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 2>/dev/null
shell=$2 grep=$3 sleep=$4 rmdir=$5 setpriv=$6 parent=$7 host=$8

# A process that the host forked holds the other end of the input too, so the input may not end with
# the host. But the kernel signals the end of the thread that started this process, and after it the
# end of the next thread of the host, up to the last one. `URG` does no harm before it is trapped.
if [ "$setpriv" ] && "$setpriv" --pdeathsig URG "$shell" -c :; then
    exec "$setpriv" --pdeathsig URG "$shell" -c 'eval "$1"' "$0" \
        "$1" "$shell" "$grep" "$sleep" "$rmdir" '' "$parent" "$host"
fi

# Whether the parent is still the host. True where it cannot be known: without `/proc`, and with
# that of another namespace, where processes have other ids.
host_lives() {
    self=
    read -r self _ _ now _ < /proc/self/stat
    [ "$self" != $$ ] || [ "$now" = "$host" ]
}

# The input may not end with the host, so it ends here.
on_signal() {
    moved=yes
    host_lives || exec < /dev/null
}

# Sets `tagged` to those of these files that contain the tag. `-z`: their lines end with NUL, beyond
# which the grep of busybox does not read otherwise. A search that failed must not pass for an empty
# one, so the list has an end. Without it this shell exits, and `on_failure` takes over.
search() {
    tagged=$(echo "$tag" | "$grep" -lszF -f - "$@"; [ $? -le 2 ] && echo end)
    [ "${tagged%end}" != "$tagged" ] || exit
    tagged=${tagged%end}
}

# As `search`, in this process alone. Slower, because a shell reads byte by byte.
read_all() {
    tagged=
    for environ; do
        while IFS= read -r line || [ "$line" ]; do
            case $line in *"$tag"*) tagged="$tagged $environ" ;; esac
        done < "$environ"
    done
}

# Notes in `found` whether any of these processes carries the tag.
look() {
    [ ! "$found" ] || return
    search "$@"
    [ ! "$tagged" ] || found=yes
}

# Kills those of these processes that carry the tag. $1: how to search. Directly before the signals
# it searches again, in the few that it has found: another process may have taken over an id.
kill_some() {
    how=$1
    shift
    "$how" "$@"
    [ "$tagged" ] || return
    found=yes
    "$how" $tagged
    for environ in $tagged; do
        pid=${environ#/proc/}
        kill -KILL "${pid%/environ}"
    done
}

# Runs $1, with what follows as its first arguments, for all processes, 100 at a time: the arguments
# of a command are limited. Those of this user first, because most workers are, and others may have
# so large environments that the search takes seconds. True if any process carries the tag.
for_all() {
    found= action=$*
    set --
    for owner in this another; do
        for process in /proc/[0-9]*; do
            user=this
            [ -O "$process" ] || user=another
            [ $user = $owner ] || continue
            set -- "$@" "$process/environ"
            [ $# -lt 100 ] && continue
            $action "$@"
            set --
        done
        [ $# -eq 0 ] || $action "$@"
        set --
    done
    [ "$found" ]
}

find_groups() {
    set -- "$groups"*/
    [ "$parent" ] && [ -d "$1" ]
}

pause() {
    "$sleep" "$1" || "$sleep" 1
}

# Kills what is left. $1: how to search. A process may start another one while it is being killed,
# or exit behind the search, so two searches in a row must find nothing.
finish() {
    if find_groups; then
        for group in "$groups"*/; do
            echo 1 > "${group}cgroup.kill"
        done
    fi
    rounds=0 empty=0
    while [ $((rounds += 1)) -le 50 ] && [ $empty -lt 2 ]; do
        empty=$((empty + 1))
        for_all kill_some "$1" || continue
        empty=0
        [ "$1" = read_all ] || pause 0.02
    done
    rounds=0
    while [ $((rounds += 1)) -le 50 ] && find_groups; do
        for group in "$groups"*/; do
            "$rmdir" "$group"*/ "$group"
        done
        find_groups && pause 0.02
    done
}

# No process can be started, which makes a shell exit. What the pool left may be the reason.
on_failure() {
    trap - EXIT
    finish read_all
}

# Without a tag, every process would carry it.
IFS= read -r tag && [ "$tag" ] && IFS= read -r name || exit
groups=$parent/$name
trap on_signal URG
# The host may have ended before the trap was there.
on_signal
# A signal interrupts the read.
word=
until read -r word || [ ! "$moved" ]; do
    moved=
done
trap '' URG
[ "$word" = over ] && exit
trap on_failure EXIT
looks=0
while [ ! "$word" ] && [ $((looks += 1)) -le 5 ] && for_all look; do
    pause 0.2
done
finish search
trap - EXIT
