# Sourced by scripts/ctkd and scripts/test: makes $root/.venv and keeps it up to date.
#
# An up-to-date .venv is told by a stamp that holds the hash of what decides its content, so a
# second call costs milliseconds.

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)"
venv="$root/.venv"

fail() {
  echo "ctkd: $*" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3 python; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "needs Python 3.11 or newer, and found none"
}

# ensure_venv EXTRAS: a .venv with ctkd and its extras, pinned by constraints.txt.
ensure_venv() {
  local extras="$1" stamp="$venv/.ctkd-$1" wanted
  wanted="$(cat "$root/pyproject.toml" "$root/constraints.txt" | sha256sum) $root"
  if [ -x "$venv/bin/ctkd" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  (
    flock 9 # two that start at once: one installs, the other waits and finds it done
    [ -x "$venv/bin/ctkd" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit 0
    echo "ctkd: setting up $venv (once; a few minutes)" >&2
    # A .venv without pip is half-made or was moved: begin again.
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
      rm -rf "$venv"
      "$(find_python)" -m venv "$venv" || fail "cannot make a virtual environment (on Debian: apt-get install python3-venv)"
    fi
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
      --constraint "$root/constraints.txt" --editable "$root[$extras]" >&2 ||
      fail "the installation failed; the reason is above"
    echo "$wanted" >"$stamp"
  ) 9>"$root/.venv.lock"
}
