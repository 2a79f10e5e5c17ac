# What a person runs. Each target sets up what it needs, and is quick when it has been set up.
.DEFAULT_GOAL := help
.PHONY: help demo demo-aws test pauses bench lint format docs wheel clean

VENV := .venv
# Given to the command: make demo ARGS=--json, make bench ARGS="-k dispatcher".
ARGS ?=

# What the installed package depends on. Python modules are not part of it: the install is editable.
INSTALLED_FROM := pyproject.toml constraints.txt CMakeLists.txt scripts/setup.sh scripts/fetch_charts.py \
	python/mark/workload/_timestamps.pyx \
	$(shell find csrc/mark csrc/net csrc/bindings -name '*.h' -o -name '*.cc')

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: $(VENV)/.ready-demo ## serve a real model for a minute and see what it costs
	@$(VENV)/bin/mark demo $(ARGS)

demo-aws: $(VENV)/.ready-test ## the same by way of AWS's API: a fake AWS on this machine, its bill, its teardown
	@$(VENV)/bin/mark demo --provider aws $(ARGS)

test: $(VENV)/.ready-test ## the one check: lint, types, all tests, sanitizers, fuzzing
	@scripts/check.sh lint unit integration sanitizers fuzz bench

pauses: $(VENV)/.ready-test ## tests of threads and processes under random pauses, as a busy machine makes them
	@scripts/check.sh pauses

bench: $(VENV)/.ready-test ## the benchmarks, on an otherwise idle machine
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/pytest bench $(ARGS)

lint: $(VENV)/.ready-test ## only what needs no run: format, lint, types
	@scripts/check.sh lint

format: $(VENV)/.ready-test ## format and mend what can be mended by itself
	@$(VENV)/bin/ruff check --fix --quiet --exit-zero
	@$(VENV)/bin/ruff format
	@find csrc -name '*.h' -print0 -o -name '*.cc' -print0 | xargs -0 $(VENV)/bin/clang-format -i

docs: $(VENV)/.ready-test ## the site of these pages, with its reference, into build/site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo 'see it: $(VENV)/bin/python -m http.server --directory build/site'

wheel: $(VENV)/.ready-test ## the wheel that users install, with the libraries of its C++ inside
	@scripts/build_wheel.sh

clean: ## remove what was built and cached, but not the virtual environment
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find python tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-%: $(INSTALLED_FROM)
	@scripts/setup.sh $*
