# What the scripts here share. Sourced by bash, with the repository as working directory afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENVS=$PWD/.test-venvs
MAIN=$VENVS/main
JOBS=$(nproc)
# Options of pytest: files of tests side by side, one a processor.
SIDE_BY_SIDE=(-p xdist -n "$JOBS" --dist loadfile)
# Tests that look at all that is recorded on the machine, or draw on a screen: one after the other.
ALONE=(tests/browser tests/cli/test_hang_up.py tests/cli/test_sessions.py tests/cli/test_top.py)
export PIP_DISABLE_PIP_VERSION_CHECK=1

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# The interpreter to work with: $PYTHON, or python3; what is behind it where that is a virtual environment,
# which may be one that is about to be made anew.
main_python() {
  local python=${PYTHON:-python3}
  command -v "$python" >/dev/null || die "no $python; install Python 3.9 or later, or set PYTHON"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
    die "$python is older than 3.9; set PYTHON to a later one"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$python cannot make virtual environments; install python3-venv"
  "$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
}

# make_venv FOLDER PYTHON: a virtual environment, made anew when its interpreter is another.
make_venv() {
  local folder=$1 python=$2 stamp
  stamp=$("$python" -c 'import sys; print(sys.executable, sys.version)')
  if [ "$(cat "$folder/made-by" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
    echo "$stamp" >"$folder/made-by"
  fi
}

# C and C++ files, zero-separated. Not programs to be recorded: their lines are what tests compare.
native_sources() {
  find native examples tests benchmarks -path '*/programs' -prune -o -type f \
    \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.cc' \) -print0
}

# The test environment with everything in it; made by scripts/setup.
need_main() {
  [ -x "$MAIN/bin/ninja" ] || scripts/setup
  export PATH=$MAIN/bin:$PATH
}
