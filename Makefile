# Everything happens in .venv, which is made when it is first needed. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-config $(UPGRADE)
CONNECTORS := $(subst _,-,$(patsubst connectors/tap_%/__init__.py,%,$(wildcard connectors/tap_*/__init__.py)))

.PHONY: help demo test test-integration torture soak check bench bench-quick docs site catalog reliability lock clean

help:
	@echo "make demo     run the sandboxes of all vendors into a DuckDB file and check the result"
	@echo "make test     run all tests"
	@echo "make test-integration  run the tests against foreign programs; installs and starts these"
	@echo "make torture  run the full form of the tests that kill, break and misbehave; takes its time"
	@echo "make soak     play 500 histories of each hostile vendor: every invoice is there or named; half an hour or more"
	@echo "make check    ruff, mypy, import-linter"
	@echo "make bench    measure beside the peers, and write docs/performance.md (an hour)"
	@echo "make bench-quick  compare the working tree with the last release, or with REV=... (two minutes)"
	@echo "make docs     regenerate docs/connectors, docs/hooks.md and docs/architecture.svg"
	@echo "make site     build the documentation as a site in build/site; it reads offline"
	@echo "make catalog  regenerate catalog.json"
	@echo "make meltano  regenerate the plugin definitions for Meltano: meltano/ and examples/meltano/plugins/"
	@echo "make reliability  run all tests, and regenerate docs/reliability.md from what they promise"
	@echo "make lock     resolve the dependencies of pyproject.toml anew into locks/ (with UPGRADE=--upgrade: the newest)"
	@echo "make clean    remove .venv, .bench, .integration and what the tools left"

demo: .venv/installed
	$(BIN)/vendortap demo

test: .venv/developed
	$(BIN)/pytest --numprocesses auto --dist loadfile --reliability=build/reliability.json

# Foreign taps and targets, Meltano, PostgreSQL and Chromium: each installed where it is missing, or missed in a sentence.
test-integration: .venv/developed
	@$(PIP) install "uv>=0.6,<1"
	$(BIN)/pytest --numprocesses auto --dist loadfile -m integration tests/integration

torture: .venv/developed
	$(BIN)/pytest --numprocesses auto --dist worksteal -m torture

# make soak OPTIONS="--connector midnight --seed 7 --histories 1 --verbose" plays one history again.
soak: .venv/developed
	$(BIN)/python -m tests.soak $(OPTIONS)

check: .venv/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# make bench OPTIONS="--only json,xml --runs 2 --invoices 20000" is for development; OPTIONS=--resume goes on.
bench: .venv/benched
	$(BIN)/python -m benchmarks $(OPTIONS)

# make bench-quick REV=abc123 compares with that revision, without REV with the last release.
bench-quick: .venv/benched
	$(BIN)/python -m benchmarks.quick $(REV)

docs: .venv/installed
	mkdir -p docs/connectors
	for name in $(CONNECTORS); do \
	  $(BIN)/vendortap describe $$name --markdown > docs/connectors/$$name.md.new || exit 1; \
	  mv docs/connectors/$$name.md.new docs/connectors/$$name.md; \
	done
	$(BIN)/python -m vendortap.operate.reference > docs/hooks.md.new
	mv docs/hooks.md.new docs/hooks.md
	$(BIN)/python docs/architecture_picture.py

# Read it at once: python3 -m http.server --directory build/site
site: .venv/sited
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

catalog: .venv/installed
	$(BIN)/vendortap catalog > catalog.json.new
	mv catalog.json.new catalog.json

# Of every connector, and of the DuckDB target: what Meltano Hub has of it, and what a project has that asks no Hub. As
# vendortap is on no package index, they say to install it from where the environment variable VENDORTAP says.
.PHONY: meltano
PLUGINS := $(CONNECTORS:%=extractors/tap-%) loaders/target-vendortap-duckdb
meltano: .venv/installed
	for plugin in $(PLUGINS); do \
	  connector=$$(case $$plugin in extractors/*) echo $${plugin#*/tap-};; esac); \
	  hub=meltano/$$plugin/vendortap.yml project=examples/meltano/plugins/$$plugin--vendortap.lock; \
	  where='$${VENDORTAP}'; case $$plugin in loaders/*) where="$$where[duckdb]";; esac; \
	  mkdir -p $${hub%/*} $${project%/*}; \
	  $(BIN)/vendortap meltano $$connector --pip-url "$$where" > $$hub.new && mv $$hub.new $$hub || exit 1; \
	  $(BIN)/vendortap meltano $$connector --pip-url "$$where" --lock > $$project.new && mv $$project.new $$project || exit 1; \
	done

reliability: .venv/developed
	$(BIN)/pytest --numprocesses auto --dist loadfile --reliability=build/reliability.json \
	  --deselect tests/test_reliability.py::test_the_document_names_every_promise_of_the_tests_and_only_tests_that_there_are
	$(BIN)/python -m tests.reliability build/reliability.json > docs/reliability.md.new
	mv docs/reliability.md.new docs/reliability.md

clean:
	rm -rf .venv .bench .integration build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

lock: .venv/installed
	@$(PIP) install "uv>=0.6,<1"
	$(LOCK) pyproject.toml --all-extras --group build --output-file locks/run.txt
	$(LOCK) pyproject.toml --all-extras --group dev --constraints locks/run.txt --output-file locks/dev.txt
	$(LOCK) --group fuzz --output-file locks/fuzz.txt
	$(LOCK) --group audit --output-file locks/audit.txt
	$(LOCK) --group site --constraints locks/dev.txt --output-file locks/site.txt
	$(LOCK) --group bench --constraints locks/dev.txt --output-file locks/bench.txt
	for name in locks/integration/*.in; do $(LOCK) $$name --output-file $${name%.in}.txt || exit 1; done

# Stamps: made again when pyproject.toml or a lock changes. What is installed is what the locks name, by hash.
.venv/installed: pyproject.toml locks/run.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("vendortap needs Python 3.11 or later; say which: make PYTHON=python3.12 ...")'
	@echo "Installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes --requirement locks/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/developed: .venv/installed locks/dev.txt
	@echo "Installing the development tools into .venv ..."
	@$(PIP) install --require-hashes --requirement locks/dev.txt
	@touch $@

.venv/sited: .venv/installed locks/site.txt
	@echo "Installing what builds the site into .venv ..."
	@$(PIP) install --require-hashes --requirement locks/site.txt
	@touch $@

.venv/benched: .venv/developed locks/bench.txt
	@echo "Installing what draws and samples into .venv ..."
	@$(PIP) install --require-hashes --requirement locks/bench.txt
	@touch $@
