# shellcheck shell=sh disable=SC2034,SC2317,SC2329
# The kind files. The script sets: tops, since, unsettled, list, layers. Needs paths_plan.sh paths_work.sh.

# --- Files, links and directories: each stands for itself ---

files_check() {
    stray=theirs foreign='' partly=''
    paths_check
}

files_plan() { paths_plan; }
files_execute() { paths_execute ''; }
files_verify() {
    foreign='' partly=''
    paths_verify
}
