#!/bin/bash
# Types words at the bash completions and looks at what they offer; and for every program that is built, looks that each
# option and suboption of its --help is known to its completion. Argument: the folder of the programs.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
programs="$1"
failures=0

# expect PROGRAM "LINE" WORD...: with the cursor at the end of LINE exactly these are offered.
expect() {
  local program=$1 line=$2 got wanted
  shift 2
  got="$(bash -c '
    compopt() { :; }
    source "completions/bash/$1"
    COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=()
    # Words as bash cuts them: at blanks and at "=", which is a word of its own.
    rest="${2//=/ = }"
    read -r -a COMP_WORDS <<<"$rest"
    [[ $2 == *[[:space:]] ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]] && COMP_WORDS[COMP_CWORD]="="
    "_${1/./_}"
    printf "%s\n" "${COMPREPLY[@]}" | sort' - "$program" "$line")"
  wanted="$(printf '%s\n' "$@" | sort)"
  if [[ $got != "$wanted" ]]; then
    printf 'after "%s": offered [%s], wanted [%s]\n' "$line" "${got//$'\n'/ }" "${wanted//$'\n'/ }" >&2
    failures=$((failures + 1))
  fi
}

expect xdax_repair 'xdax_repair --rep' --replay-only
expect fsck.xdax 'fsck.xdax --med' --media
expect mkfs.xdax 'mkfs.xdax --al' --allow-tiny
expect mkfs.xdax 'mkfs.xdax --io=d' dax
expect mkfs.xdax 'mkfs.xdax --io=' auto dax uring
expect mkfs.xdax 'mkfs.xdax --io ' auto dax uring
expect mkfs.xdax 'mkfs.xdax -d agc' agcount=
expect mkfs.xdax 'mkfs.xdax -d agcount=4,sec' 4,sectsize=
expect mkfs.xdax 'mkfs.xdax -m rm' rmapbt=
expect mkfs.xdax 'mkfs.xdax -m crc=1,rmap' 1,rmapbt=
expect mkfs.xdax 'mkfs.xdax -d agcount=4' ''
expect mkfs.xdax 'mkfs.xdax READM' README.md
expect fsck.xdax 'fsck.xdax --j' --json
expect fsck.xdax 'fsck.xdax --io=u' uring
expect fsck.xdax 'fsck.xdax -n READM' README.md
expect xdax 'xdax xa' xattr
expect xdax 'xdax ls --j' --json
expect xdax 'xdax mk' mkdir
expect xdax 'xdax fallocate --p' --punch
expect xdax 'xdax cat --j' ''
expect xdax 'xdax extents --a' --attr
expect xdax 'xdax digest --io=u' uring
expect xdax 'xdax ls READM' README.md

for program in mkfs.xdax fsck.xdax xdax_repair xdax; do
  [[ -x $programs/$program ]] || continue
  help="$("$programs/$program" --help 2>&1 </dev/null)"
  mapfile -t options < <(grep -oE '(^|[ ,])(--[a-z][a-z-]+|-[A-Za-z])\b' <<<"$help" | tr -d ' ,' | sort -u)
  mapfile -t suboptions < <(grep -oE '\b[a-z][a-z0-9-]*=' <<<"$help" | sort -u)
  if [[ ${#options[@]} -lt 5 ]]; then
    echo "$program --help names only ${#options[@]} options" >&2
    failures=$((failures + 1))
  fi
  for option in "${options[@]}" "${suboptions[@]}"; do
    if ! grep -qE -- "[ '-]${option%=}[ '=]" "completions/bash/$program"; then
      echo "completions/bash/$program does not know $option of $program --help" >&2
      failures=$((failures + 1))
    fi
  done
done

[[ $failures -eq 0 ]] && echo "completions: as wanted"
exit $((failures > 0))
