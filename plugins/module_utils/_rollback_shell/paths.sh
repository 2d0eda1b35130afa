# shellcheck shell=sh disable=SC2034,SC2089,SC2090,SC2154,SC2317,SC2329
# The list of what changes touched: how it is read, and how directories are entered. Needs names.sh state.sh.

# --- Paths that changes touched ---
#
# The list has a line for each directory, "@ above below": where the captured path is, and the directory from there.
# Under it stands a line for each path in it that was touched:
#   whose name  before content  after content
# whose: the distribution that owns it; "." where it stands for itself, "-" where nobody owns it, "~" for byte code.
# before, after: type:mode:owner:group:size:time, as it was before the changes and as they left it; "-" where nothing
# was, "?" where nobody looked; "+" behind it for attributes that a shell cannot set.
# content: of a file its SHA-256, or "=" and the link in the store that holds it, or "!" where nothing does; of a link
# its target.
#
# What is as before is left alone, and what is as the changes left it goes back. All else was changed by somebody since.
#
# Each directory is entered, and what is done there is done to ./name: no name that somebody swaps leads elsewhere.

# What is made ready beside its place; the modules know it by this name, too.
staged=./.intellistream-sage.undo

# Enters the directory $2 below $1, both as the list has them. No link may lead there from $1.
enter() {
    decode "$1"
    cd -P -- "$decoded" 2>/dev/null || return 1
    [ "$2" != . ] || return 0
    at=${PWD%/}
    decode "$2"
    cd -P -- "./$decoded" 2>/dev/null && [ "$PWD" = "$at/$decoded" ]
}

# Sets as: what a command begins with that changes something in "."; own and own_mode, of that. Root works in a user's
# directory as this user, who may swap any name in it; and not at all where yet others may.
judge_owner() {
    as=
    own=$(stat -c '%u:%g:%a' .)
    own_mode=${own##*:} own_group=${own#*:} own=${own%%:*}
    own_group=${own_group%:*}
    [ "$me" = 0 ] || return 0
    if shared .; then
        trouble="others than its owner can write to $PWD"
        return 1
    fi
    [ "$own" != 0 ] || return 0
    [ "$own" = "$as_whom" ] || become "$own" || {
        trouble="$PWD belongs to user id $own, and nothing here can act as that user (setpriv, runuser or su)"
        return 1
    }
    as=$as_known
}

# Sets as_known: what a command begins with that the user id $1 is to run.
become() {
    account='' groups=--clear-groups
    for account in $(getent passwd "$1" 2>/dev/null || cat /etc/passwd); do
        IFS=:
        # shellcheck disable=SC2086  # set -f is on
        set -- "$1" $account
        IFS=$nl
        if [ "$4" = "$1" ]; then
            account=$2 own_group=$5 groups=--init-groups
            break
        fi
        account=
    done
    as_whom=$1
    for as_known in "setpriv${nl}--reuid=$1${nl}--regid=$own_group${nl}$groups${nl}--" \
        "runuser${nl}-u${nl}$account${nl}--" \
        "su${nl}-s${nl}/bin/sh${nl}-c${nl}exec \"\$0\" \"\$@\"${nl}--${nl}$account"; do
        # shellcheck disable=SC2086  # a line is a word
        [ "$($as_known id -u 2>/dev/null </dev/null)" != "$1" ] || return 0
    done
    as_whom=
    return 1
}

# Calls $1 in each directory of the list $2, with its lines in $lines, or some of many. entered is empty where no such
# directory is; first is 1 at the first call in a directory, and all its lines are in $of_directory.
each_directory() {
    job=$1 of_directory='' above=''
    for one in $2 '@ / .'; do
        case $one in
        '@ '*)
            heading=${one#@ }
            [ -z "$above" ] || in_directory
            above=${heading%% *} below=${heading#* } of_directory=
            ;;
        *) of_directory=$of_directory$one$nl ;;
        esac
    done
    cd /
}

in_directory() {
    entered=
    ! enter "$above" "$below" || entered=1
    lines='' many=0 first=1
    for line in $of_directory; do
        lines=$lines$line$nl many=$((many + 1))
        if [ "$many" = 500 ]; then
            "$job"
            lines='' many=0 first=
        fi
    done
    [ -z "$lines$first" ] || "$job"
}

# Sets the fields of a line of the list, to which judge has added what is there now and what is to be done.
take_up() {
    IFS=' '
    # shellcheck disable=SC2086  # fields hold no other white space, and set -f is on
    set -- $1
    IFS=$nl
    whose=$1 name=$2 before=$3 before_content=$4 after=$5 after_content=$6 now=${7-} verdict=${8-}
    attributes=
    case $before in
    *+) attributes=1 before=${before%+} ;;
    esac
    # Tools that know no parts of a second.
    [ -z "$coarse" ] || before=${before%.*} after=${after%.*}
    decode "$name"
    file=./$decoded
}

# Sets full: the path of $name, encoded.
full_name() {
    full=$name
    # As a part of a path it is no word of its own.
    [ "$name" != '\0055' ] || full=-
    [ "$below" = . ] || full=$below/$full
    full=${above%/}/$full
}

# Prints the paths of the lines of a directory.
print_full() {
    for line in $lines; do
        line=${line#* }
        name=${line%% *}
        full_name
        printf '%s\n' "$full"
    done
}

# Sets fact: that of the list for what stat prints.
read_fact() {
    fact=${1#*:}
    case $1 in
    -*) fact=f:$fact ;;
    *)
        # Of all but files the size is the file system's business.
        size=${fact%:*}
        fact=${1%"${1#?}"}:${size%:*}:0:${fact##*:}
        ;;
    esac
}

# Sets held: the file of the store that has the content $1.
find_content() {
    case $1 in
    =*) held=$store/farm/${1#=} ;;
    *)
        copy=copies/${1%"${1#??}"}/$1
        for id in $layers; do
            layer "$id"
            held=$point/$number/$copy
            [ ! -f "$held" ] || break
        done
        [ -f "$held" ] || held=$store/farm/$copy
        ;;
    esac
    [ -f "$held" ] && [ ! -L "$held" ]
}

# Prints the lines of $1 from the last to the first.
reversed() {
    reverse=
    for line in $1; do
        reverse=$line$nl$reverse
    done
}
