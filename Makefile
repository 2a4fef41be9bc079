# Everything from a fresh checkout: `make demo` to see it work, `make test` to check it.

SUPPORTED := (3, 11) <= sys.version_info < (3, 14)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c 'import sys; sys.exit(not $(SUPPORTED))' 2>/dev/null && echo $$python && break; done)
PY := .venv/bin/python
# each process would compile TensorFlow's Python files again, for ten seconds
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/pycache
STARTED_S := $(shell date +%s)

.DEFAULT_GOAL := help
.PHONY: help stale venv tools jars demo bench cost evaluate check test search soak reference docs screenshots lint format dist lock outdated clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 18

# an environment that was moved here, or whose Python is gone, is made again
STALE := $(shell [ -x $(PY) ] && [ "$$(cat .venv/installed/.directory 2>/dev/null)" = "$(CURDIR)" ] || echo stale)

.venv/installed/%: deploy/requirements/%.txt deploy/requirements/installer.txt pyproject.toml $(STALE)
	@"$(or $(PYTHON),python3)" -c 'import sys; sys.exit(not $(SUPPORTED))' 2>/dev/null || { \
	  echo "make: online-lstm needs Python 3.11, 3.12 or 3.13; name one that you have: make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; }
	@"$(PYTHON)" deploy/install.py $*

venv: .venv/installed/runtime ## make .venv with the daemon and what it needs

tools: ## install Java, Maven, Prometheus, docker-compose, Chromium, npm and nginx where they are missing (as root on Debian)
	@deploy/system-packages.sh java mvn prometheus docker-compose chromium npm nginx

jars: venv tools ## fetch the Kafka that tests run against, once per user
	@$(PY) -m online_lstm.devtools.kafka_jars

demo: venv ## see it work: broker, two streams, daemons, pages (KEEP=1: until Ctrl-C)
	@[ -n "$$ONLINE_LSTM_BOOTSTRAP_SERVERS" ] || docker version >/dev/null 2>&1 || deploy/system-packages.sh java mvn
	@.venv/bin/online-lstm demo --install-s $$(($$(date +%s) - $(STARTED_S))) $(if $(KEEP),--keep)

bench: venv ## measure speed on this machine
	@.venv/bin/online-lstm bench

cost: venv ## cost of a value beside that of a C program (REFERENCE=lstm.c)
	@PYTHONPATH=tests $(PY) benchmarks/cost.py $(REFERENCE)

evaluate: venv ## measure how well it learns, into docs/learning.md (TAXI=nyc_taxi.csv DATA=folder)
	@.venv/bin/online-lstm evaluate --markdown docs/learning.md $(if $(TAXI),--taxi $(TAXI)) $(if $(DATA),--data $(DATA))

check: .venv/installed/test ## lint, types, and the fast tests: a minute, without Java or a browser
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -n $(or $(WORKERS),2) --dist worksteal -m 'not long'

# one worker more than there are cores: the tests of faults mostly wait
test: .venv/installed/test tools jars ## lint, types, and all tests with branch coverage
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -n $(or $(WORKERS),3) --dist worksteal --cov --cov-report=term

search: .venv/installed/test tools jars ## the tests that search for faults, with all their examples: ten times as long
	@TESTS_SEARCH_WHOLE=1 $(PY) -m pytest -n $(or $(WORKERS),3) --dist worksteal -m search

soak: .venv/installed/test tools jars ## a million events under faults, half an hour or so (SOAK='--events 100000 --report FILE')
	@PYTHONPATH=tests $(PY) benchmarks/soak.py $(SOAK)

reference: .venv/installed/test ## write the parts of README and reference that are made from the code
	@PYTHONPATH=docs:tests $(PY) docs/_generate/generated_parts.py

docs: .venv/installed/runtime .venv/installed/docs ## build the documentation into docs/_build; a warning is an error
	@$(PY) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build
	@echo "docs/_build/index.html"

screenshots: .venv/installed/test tools jars ## make the pictures of the documentation anew, into docs/images
	@$(PY) docs/screenshots.py

# mypy reads the packages that tests import, so the environment is that of the tests
lint: .venv/installed/test ## check style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: .venv/installed/lint ## bring the code into form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

dist: .venv/installed/test ## build sdist and wheel into dist, with the version of the last tag
	@.venv/bin/uv build --quiet --no-build-isolation --python $(PY) --out-dir dist
	@ls dist

lock: .venv/installed/test ## write the exact versions of all packages to deploy/requirements (UPGRADE=1: the newest)
	@$(PY) deploy/lock.py $(if $(UPGRADE),--upgrade)

outdated: .venv/installed/test ## list what `make lock UPGRADE=1` would change
	@$(PY) deploy/lock.py --outdated

clean: ## remove what these targets made in this directory
	rm -rf .venv build dist docs/_build docs/jupyter_execute *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
