# shellcheck shell=sh disable=SC2034,SC2317,SC2329
# What the shell, git and the tools are told first, and what every other part begins with.

# --- How it is done ---
#
# Everything is checked and computed before anything is touched, and the order of the work is such that a run that was
# interrupted anywhere is finished by running the script again. IFS is a newline: "for" reads lines.

set -uf
LC_ALL=C
export LC_ALL
unset CDPATH
# What is written is its owner's alone, as all of the record is, until it gets the mode that it had.
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# git is told where to look by -C alone.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE
unset GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT
GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0 GIT_LITERAL_PATHSPECS=1
export GIT_TERMINAL_PROMPT GIT_OPTIONAL_LOCKS GIT_LITERAL_PATHSPECS
nl='
'
IFS=$nl
# What the store writes as \0ooo, so that a name is one field of one line.
odd=$(printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020')
odd=$odd$(printf '\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037 \177\\x')
odd=${odd%x}
# What it ends with, see --help.
ended_badly=1 ended_refused=2 ended_unconfirmed=3
yes='' force='' dry='' changing='' resumed='' conflicts='' closed=''
by_module='Roll back with intellistream.sage.sage_rollback.'
restore_store='Somebody changed the store. Restore it from a copy; without it nothing can be put back.'
living='' summed='' same_version='' brief='' foreign='' partly='' as_whom='' as_known=''
plan_install='' plan_erase='' plan_restore='' plan_remove=''
