# What a checkout offers. `make run` needs only make and Python; `make test` says what it needs and, as root, installs it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run check test lint unit system sanity integration molecule package fresh soak real bench clean

help:
	@echo 'make run          install SAGE on this host; options: make run ARGS="-e sage_root=/tmp/x"'
	@echo 'make check        what to run while you work: a minute, no root, no container'
	@echo '                  TESTS="tests/unit/test_x.py -k name": those tests and ruff, in seconds'
	@echo 'make test         every check, in a Debian 12 or newer, as root (containers); ONLY="lint unit" selects'
	@echo 'make lint unit system sanity integration molecule package fresh    one group of checks'
	@echo '                  unit: TESTS="tests/unit/plugins/modules -k venv"; V=1 shows all output'
	@echo '                  system: dpkg and rpm in containers; one of them: tests/system/run.sh bookworm'
	@echo 'make soak         runs at once for as long as MINUTES=15 says'
	@echo 'make real         real environments from the index, changed and taken back; ARGS="--kill torch"'
	@echo 'make bench        measure; results go to docs/benchmarks.md'
	@echo 'make clean        remove what these made in the checkout'

run:
	@scripts/run.sh $(ARGS)

test:
	@tests/run/main.sh $(ONLY)

check lint unit system sanity integration molecule package fresh:
	@tests/run/main.sh $@

soak:
	@TESTS="tests/unit/plugins/action/test_soak.py tests/unit/plugins/module_utils/_records/test_lease.py -k at_once --timeout 0" \
	    SAGE_SOAK_MINUTES=$(or $(MINUTES),15) SAGE_SOAK_ROUNDS=200 tests/run/main.sh check

real:
	@tests/run/main.sh --real $(ARGS)

bench:
	@tests/run/main.sh --bench $(ARGS)

clean:
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .ansible/tmp tests/output
	rm -f intellistream-sage-*.tar.gz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
