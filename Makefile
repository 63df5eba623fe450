# The only commands a newcomer needs. Each does its own set-up on a fresh machine; a second call finds it done.
# ARGS is passed on:  make test ARGS="tests/unit -k lifecycle"

VENV := .venv/bin/python
# The checkout's path is part of the stamp's name: an environment that was moved is set up again.
HERE := $(shell printf %s '$(CURDIR)' | cksum | cut -d' ' -f1)
PYTHON_READY := .venv/ready-$(HERE)
SERVERS_READY := .venv/servers-$(HERE)
# The compiled decoder; nothing where cargo is missing or older than rust/Cargo.toml asks for, and all else does without.
LIBRARY := src/tidegate/decode/_native.so
CARGO := $(shell cargo --version 2>/dev/null | cut -d' ' -f2)
NATIVE := $(shell printf '%s\n' 1.82 '$(CARGO)' | sort --version-sort --check=quiet && echo $(LIBRARY))
# The web console, built; without npm there is none, and all else does without.
CONSOLE := src/tidegate/console/static/index.html
NPM := $(shell command -v npm 2>/dev/null)
# A log-in provider for the tests; without npm those that need a real one are left out.
PROVIDER := $(if $(NPM),tests/oidc/node_modules/ready)

MINUTES ?= 60
SCALE ?= full
STEPS ?= 500000

.DEFAULT_GOAL := help

# Workers and servers start by the hundred: none of them should compile the sources again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo native console journeys wheel test check crash lifecycle soak pace saboteurs bench format docs lock servers clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

demo: $(PYTHON_READY) ## Watch it work: a busy PostgreSQL (SOURCE=mariadb: MariaDB) synchronized, operated, and proven equal
	@$(if $(filter mariadb,$(SOURCE)),$(VENV) -m tidegate.testing.mariadb_binaries)
	@TIDEGATE_DEMO_SOURCE=$(SOURCE) $(VENV) -m tidegate demo $(ARGS)

native: $(LIBRARY) ## Build the compiled decoder; needs cargo and nothing from the network

console: $(CONSOLE) ## Build the web console; needs Node.js 20 or newer

journeys: $(PYTHON_READY) $(SERVERS_READY) $(NATIVE) $(CONSOLE) ## Go through the console in a real Chromium; leaves pictures in build/screenshots
	@tools/setup.sh browser
	@$(VENV) -m pytest tests/console $(ARGS)

wheel: $(PYTHON_READY) $(CONSOLE) ## Build the wheel, with the console in it
	@$(VENV) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@$(VENV) -m zipfile --list $$(ls -t dist/tidegate-*.whl | head -1) | grep -q tidegate/console/static/index.html

test: $(PYTHON_READY) $(SERVERS_READY) $(NATIVE) $(PROVIDER) ## Run the tests (ARGS="tests/unit -x": some), on real servers of their own
ifdef ARGS
	@$(VENV) -m pytest $(ARGS)
else
	@$(if $(NATIVE),cargo test --quiet --offline --manifest-path rust/Cargo.toml)
	@$(VENV) -m pytest -n 2 --dist worksteal --durations=15 -m "not alone"
	@$(VENV) -m pytest -m alone
endif

check: $(PYTHON_READY) ## Lint, format check, strict type check, layer rule
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@$(VENV) -m pytest tests/unit/test_layers.py
ifdef NPM
	@if $(MAKE) --no-print-directory web/node_modules/ready; \
	then cd web && npm run --silent types && npm run --silent check; \
	else echo "The console's packages could not be installed: its sources are not checked."; fi
else
	@echo "There is no npm here: the console's sources are not checked."
endif

crash: $(PYTHON_READY) $(SERVERS_READY) ## Attack it for MINUTES=60 (SEED=… repeats one; LONG=1 until 5,000 deaths; PAIRS=mariadb:postgres,…): then an audit
	@$(VENV) -m tidegate.testing.crash --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(LONG),--long) \
	  $(if $(PAIRS),--pairs $(PAIRS)) --results bench/results

lifecycle: $(PYTHON_READY) $(SERVERS_READY) ## Drive the lifecycle's state machine for STEPS=500000 (SEED=… repeats one)
	@PYTHONPATH=tests $(VENV) -m lifecycle.campaign --steps $(STEPS) $(if $(SEED),--seed $(SEED)) --results bench/results

soak: $(PYTHON_READY) $(SERVERS_READY) ## Let it run in peace for MINUTES=60, and show what its memory does
	@$(VENV) -m tidegate.testing.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --results bench/results

pace: $(PYTHON_READY) $(SERVERS_READY) $(NATIVE) ## 5,000 row changes a second for MINUTES=10 with 20 forced pauses (PAIRS=mariadb:postgres:upsert,…)
	@$(VENV) -m tidegate.testing.pace $(if $(filter file,$(origin MINUTES)),,--minutes $(MINUTES)) \
	  $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SEED),--seed $(SEED)) --results bench/results

saboteurs: $(PYTHON_READY) $(SERVERS_READY) ## Break one guard at a time in a copy, and show that the tests notice
	@$(VENV) tools/saboteurs.py $(ARGS)

bench: $(PYTHON_READY) $(SERVERS_READY) $(NATIVE) ## Measure it beside its peers on this machine (SCALE=small: in minutes)
	@$(VENV) bench/run.py --scale $(SCALE) $(ARGS)

format: $(PYTHON_READY) ## Format the code and mend what lint can mend
	@$(VENV) -m ruff format .
	@$(VENV) -m ruff check --fix .

docs: $(PYTHON_READY) ## Write the generated pages of docs/reference anew
	@$(VENV) -m tidegate.docs docs/reference

lock: $(PYTHON_READY) ## Resolve the dependencies anew and write the lock files
	@test -x .venv/uv/bin/uv || { $(VENV) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv; }
	@.venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade pyproject.toml --extra demo --output-file requirements.lock
	@.venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade pyproject.toml --extra demo --group dev --output-file requirements-dev.lock
	@for peer in dlt debezium sling; do .venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade bench/peers/$$peer.in \
	  --output-file bench/peers/$$peer.txt || exit; done

servers: $(PYTHON_READY) ## Get the PostgreSQL versions and the MariaDB the tests run on, where that failed before
	@tools/setup.sh servers
	@touch $(SERVERS_READY)

clean: ## Remove the virtual environment, what was built, and all caches
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis build rust/target $(LIBRARY) web/node_modules tests/oidc/node_modules $(dir $(CONSOLE))

$(PYTHON_READY): requirements-dev.lock pyproject.toml tools/setup.sh
	@tools/setup.sh python
	@touch $@

# Put in place by a new file: a process may have the old one loaded.
$(LIBRARY): $(wildcard rust/src/*.rs) rust/Cargo.toml
	@cargo build --quiet --release --offline --manifest-path rust/Cargo.toml
	@install -m 755 rust/target/release/libtidegate_native.so $@

$(CONSOLE): web/node_modules/ready docs/reference/openapi.json web/index.html $(wildcard web/*.ts web/*.mjs web/*.json) \
  $(shell find web/src web/public -type f -not -name schema.ts 2>/dev/null)
	@cd web && npm run --silent build
	@touch $@

web/node_modules/ready: web/package-lock.json
	@command -v npm >/dev/null || { echo "Building the console needs Node.js 20 or newer with npm \
	(Debian 13: apt-get install nodejs npm)." >&2; exit 3; }
	@# Not `npm ci`: it refuses a lock without the optional packages of platforms that a registry does not carry.
	@cd web && npm install --no-save --ignore-scripts --no-audit --no-fund --silent
	@touch $@

tests/oidc/node_modules/ready: tests/oidc/package-lock.json
	@cd tests/oidc && npm install --no-save --ignore-scripts --no-audit --no-fund --silent \
	  || echo "The tests' log-in provider could not be installed: tests with a real one are left out." >&2
	@mkdir -p $(@D) && touch $@

$(SERVERS_READY): src/tidegate/testing/binaries.py src/tidegate/testing/mariadb_binaries.py \
    src/tidegate/testing/mysql_binaries.py src/tidegate/testing/unpacked.py | $(PYTHON_READY)
	@tools/setup.sh servers
	@touch $@
