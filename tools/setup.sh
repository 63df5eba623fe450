#!/usr/bin/env bash
# Makes this checkout ready on a fresh machine. Called by the Makefile:
#   tools/setup.sh python    .venv with the locked packages and Tidegate itself
#   tools/setup.sh browser   a Chromium, for the console's journeys
#   tools/setup.sh servers   PostgreSQL versions and a MariaDB for the tests, as many as this machine can have
# Root installs missing Debian packages itself; everybody else is told in a sentence what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Debian starts a server when it installs one; a policy that says no keeps it from doing so.
apt_install() {
  local policy=/usr/sbin/policy-rc.d code=0
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  {
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  } >/dev/null </dev/null || code=$?
  return "$code"
}

python_here() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

set_up_python() {
  local python
  if ! python=$(python_here); then
    if can_apt; then
      say "Installing Python (Debian packages python3, python3-venv) …"
      apt_install python3 python3-venv || true
    fi
    python=$(python_here) || {
      say "Tidegate needs Python 3.11 or newer. Install it (Debian 12: apt-get install python3 python3-venv)," \
        "or name one: make PYTHON=/path/to/python3.12 …"
      exit 3
    }
  fi
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      if can_apt; then
        say "Installing Debian package python3-venv …"
        apt_install python3-venv || true
      fi
      "$python" -c 'import ensurepip, venv' 2>/dev/null || {
        say "$python cannot make virtual environments. Install its venv module (Debian: apt-get install python3-venv)."
        exit 3
      }
    fi
    say "Making .venv with $("$python" --version) …"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  say "Installing the locked packages …"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
}

set_up_servers() {
  # The tests run on every version found; the wheels installed above bring 16 and 18 along.
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    if can_apt; then
      say "Installing Debian's PostgreSQL for the tests (no service is started) …"
      apt_install postgresql || say "Debian's PostgreSQL could not be installed; the tests go on without it."
    else
      say "Debian's PostgreSQL is not installed (apt-get install postgresql); the tests go on without it."
    fi
  fi
  say "Fetching PostgreSQL 14 and 17 for the tests …"
  .venv/bin/python -m tidegate.testing.binaries 14 17 >&2 || say "The tests go on with the versions that are here."
  say "Unpacking Debian's MariaDB for the tests (nothing is installed) …"
  .venv/bin/python -m tidegate.testing.mariadb_binaries >&2 || say "The tests of MariaDB are passed over."
  say "Unpacking Debian's MySQL for the tests (nothing is installed) …"
  .venv/bin/python -m tidegate.testing.mysql_binaries >&2 || say "The tests of MySQL are passed over."
}

set_up_browser() {
  if command -v chromium >/dev/null || command -v google-chrome >/dev/null || [ -n "${TIDEGATE_CHROMIUM:-}" ]; then
    return 0
  fi
  if can_apt; then
    say "Installing Chromium for the console's journeys …"
    apt_install chromium fonts-droid-fallback || true
  fi
  command -v chromium >/dev/null || {
    say "The journeys need a Chromium: install it (Debian: apt-get install chromium), or name one in TIDEGATE_CHROMIUM."
    exit 3
  }
}

case "${1:-}" in
browser) set_up_browser ;;
python) set_up_python ;;
servers) set_up_servers ;;
*)
  say "usage: tools/setup.sh python|servers|browser"
  exit 2
  ;;
esac
