# Every target sets up what it needs. python3 (3.11 or newer) and a package index are all that is assumed.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
APPS := accounts allocations audit cluster common notifications partners portal projects proposals reports telemetry usage
CHECKING := DJANGO_SETTINGS_MODULE=tests.checking
UV := $(shell command -v uv 2>/dev/null || echo $(PY) -m uv)
ARGS ?=
EMAIL ?=
.DEFAULT_GOAL := help
.PHONY: help demo demo-otp demo-reset test hardware check bench lock fmt messages setup

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(STAMP) ## the virtual environment with the locked packages

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "bitgoeul: $(PYTHON) must be Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "bitgoeul: python3 -m venv does not work; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1; \
		then uv pip install -q --python $(PY) --require-hashes -r requirements.txt -r requirements-dev.txt; \
		else $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt; fi
	@touch $@

demo: $(STAMP) ## everything on this machine, with its story; PORT=8000 DEMO_DIR=var/demo NODES=3
	@exec $(PY) -m portal.demo

demo-otp: $(STAMP) ## the current TOTP code of a demo account: make demo-otp EMAIL=...
	@$(PY) -m portal.demo otp "$(EMAIL)"

demo-reset: $(STAMP) ## forget the demo's data
	@$(PY) -m portal.demo reset

test: $(STAMP) ## every test, unit to browser: make test ARGS="-k lease"
	@CHROMIUM="$$($(PY) -m tests.e2e.chromium)"; test -n "$$CHROMIUM" && export CHROMIUM || unset CHROMIUM; \
		exec $(PY) -m pytest $(ARGS)

hardware: $(STAMP) ## the agent's NVML on this machine's own driver; changes no setting (docs/hardware/README.md)
	@$(PY) -m pytest -c tests/hardware/pytest.ini tests/hardware $(ARGS)

check: $(STAMP) ## style, types, templates, import contracts, migrations, translations, lock
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(CHECKING) $(VENV)/bin/mypy $(APPS) agent simulator bench
	$(VENV)/bin/djlint --quiet --lint templates
	$(VENV)/bin/lint-imports --no-cache
	$(CHECKING) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(CHECKING) $(PY) manage.py messages --check
	$(PY) scripts/check_lock.py

bench: $(STAMP) ## the benchmarks, one JSON object a line; results in bench/results/
	@$(PY) -m bench $(ARGS)

lock: $(STAMP) ## resolve requirements*.in anew
	@$(UV) --version >/dev/null 2>&1 || { echo "bitgoeul: make lock needs uv: pip install uv" >&2; exit 1; }
	$(UV) pip compile -q --generate-hashes --no-emit-index-url -p 3.11 -o requirements.txt requirements.in
	$(UV) pip compile -q --generate-hashes --no-emit-index-url -p 3.11 -o requirements-dev.txt requirements-dev.in
	$(UV) pip compile -q --generate-hashes --no-emit-index-url -p 3.11 -o requirements-agent.txt requirements-agent.in

fmt: $(STAMP) ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

messages: $(STAMP) ## collect the strings for translation
	$(CHECKING) $(PY) manage.py messages
