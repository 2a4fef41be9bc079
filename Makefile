# Everything from a fresh checkout: `make demo` to see it work, `make test` to check it.

PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv tools jars demo bench cost evaluate test soak docs screenshots lint format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 18

venv: $(INSTALLED) ## make .venv with the daemon and all that it needs

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "online-lstm needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || deploy/system-packages.sh python3-venv
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "installing the daemon and its libraries into .venv (one to ten minutes, 2 GB)"
	@$(PY) -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

tools: ## install Java, Maven, Prometheus, docker-compose, Chromium, npm and nginx where they are missing (as root on Debian)
	@deploy/system-packages.sh java mvn prometheus docker-compose chromium npm nginx

jars: venv tools ## fetch the Kafka that tests run against, once per user
	@$(PY) -m daemon.local_broker

demo: venv ## see it work: broker, stream, daemon, page (KEEP=1: until Ctrl-C)
	@[ -n "$$ONLINE_LSTM_BOOTSTRAP_SERVERS" ] || docker version >/dev/null 2>&1 || deploy/system-packages.sh java mvn
	@.venv/bin/online-lstm demo $(if $(KEEP),--keep)

bench: venv ## measure speed on this machine
	@.venv/bin/online-lstm bench

cost: venv ## cost of a value beside that of a C program (REFERENCE=lstm.c)
	@$(PY) tests/cost.py $(REFERENCE)

evaluate: venv ## measure how well it learns, into docs/learning.md (TAXI=nyc_taxi.csv)
	@.venv/bin/online-lstm evaluate --markdown docs/learning.md $(if $(TAXI),--taxi $(TAXI))

test: venv tools jars ## lint, types, and all tests with branch coverage
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

soak: venv tools jars ## a million events under faults, half an hour or so (SOAK='--events 100000 --report FILE')
	@$(PY) tests/soak.py $(SOAK)

docs: venv ## build the documentation into docs/_build; a warning is an error
	@$(PY) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build
	@echo "docs/_build/index.html"

screenshots: venv tools jars ## make the pictures of the documentation anew, into docs/images
	@$(PY) docs/screenshots.py

lint: venv ## check style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: venv ## bring the code into form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean: ## remove what these targets made in this directory
	rm -rf .venv build dist docs/_build *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
