# The verbs of this project. `make help` lists them; .ci/run calls `lint` and `test`.
#
# Needs Rust, make, bash, and python3 with venv; cargo and pip fetch the rest.
# Everything that is built or installed lies in target/ and .tools/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

CARGO   ?= cargo
TARGET  := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS   := $(abspath .tools)
MUTANTS := $(TOOLS)/bin/cargo-mutants
# Runs a test command, and fails if it ran no test.
RAN     := .ci/ran
# Examples that `make test` runs as they are; demo/ has a check of its own.
EXAMPLES := $(filter-out demo,$(notdir $(patsubst %/main.rs,%,$(basename \
    $(wildcard crates/gecaso/examples/*.rs)) $(wildcard crates/gecaso/examples/*/main.rs))))
# A server for the tests of the Redis storage, from a package that carries one.
VENV     := $(TOOLS)/venv
# One folder an interpreter, with the Python package installed.
PYTHONS  := $(TOOLS)/python
PYTHON_SOURCES := python/pyproject.toml python/README.md Cargo.toml Cargo.lock $(shell find python/src \
    python/gecaso crates/gecaso/src -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name Cargo.toml)

export CARGO_TARGET_DIR := $(TARGET)
export DIR

.PHONY: help
help: ## This list
	@echo 'make VERB, where VERB is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Cache a costly function over every file below DIR=... (default: cargo's crate sources)
	@$(CARGO) run --quiet --release -p gecaso --example demo -- $${DIR:+"$$DIR"}

TESTS := unit it bare ui doc examples demo redis python
.PHONY: test
test: test-start $(TESTS:%=test-%) model ## Every test
	@.ci/ran --total

.PHONY: test-start $(TESTS:%=test-%)
test-start:
	@rm -f "$(TARGET)/ran"

test-unit:
	$(RAN) unit $(CARGO) test -p gecaso -p gecaso-macros --features gecaso/testing --lib

test-it:
	$(RAN) it $(CARGO) test -p gecaso --features testing --test '*'

# Without the macro: what somebody compiles who only wants `Cache`.
test-bare:
	$(RAN) bare $(CARGO) test -p gecaso --lib --no-default-features

# The macro's mistakes, one file each, and a renamed dependency.
test-ui:
	$(RAN) ui $(CARGO) test -p gecaso-macros --test '*'

test-doc:
	$(RAN) doc $(CARGO) test -p gecaso --features testing --doc

# Each example asserts what it shows.
test-examples:
	@$(CARGO) build --quiet -p gecaso --examples --features testing
	@for example in $(EXAMPLES); do \
	    echo "example $$example"; \
	    $(CARGO) run --quiet -p gecaso --features testing --example $$example > /dev/null; \
	done
	@echo "$(words $(EXAMPLES)) examples ran"
	@test $(words $(EXAMPLES)) -gt 0

# The demo as a user meets it: its exit codes and its figures, on good, bad and odd directories.
test-demo:
	$(RAN) demo $(CARGO) test -p gecaso --example demo
	@$(CARGO) build --quiet -p gecaso --example demo
	@bash crates/gecaso/tests/demo.sh "$(TARGET)/debug/examples/demo"

# The storage in Redis against a real server: GECASO_VALKEY_SERVER, or the one of a Python package,
# or what is on the PATH. It is killed, stalled and emptied on the way.
test-redis: $(if $(GECASO_VALKEY_SERVER),,$(VENV)/tried)
	@export GECASO_VALKEY_SERVER="$${GECASO_VALKEY_SERVER:-$$(cat "$(VENV)/tried")}"; \
	$(RAN) redis $(CARGO) test -p gecaso-redis-example; \
	echo 'example redis_storage'; \
	$(CARGO) run --quiet -p gecaso-redis-example --example redis_storage > /dev/null

# The Python package on every interpreter that is found. On the default one as users get it, and with
# the checks of types; on the others built for debugging, whose assertions are tests as well.
test-python: $(if $(GECASO_VALKEY_SERVER),,$(VENV)/tried)
	@export GECASO_VALKEY_SERVER="$${GECASO_VALKEY_SERVER:-$$(cat "$(VENV)/tried")}"; \
	interpreters=$$(.ci/pythons); profile=; \
	for interpreter in $$interpreters; do \
	    version=$$("$$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    $(MAKE) --no-print-directory "$(PYTHONS)/$$version/installed" \
	        INTERPRETER="$$interpreter" PROFILE="$$profile"; \
	    echo "Python $$version"; \
	    $(RAN) "python$$version" "$(PYTHONS)/$$version/bin/python" -X dev -m pytest python/tests; \
	    profile=dev; \
	done

$(PYTHONS)/%/installed: $(PYTHON_SOURCES) .ci/requirements-python.txt .ci/requirements-checks.txt
	@test -x "$(@D)/bin/python" || "$(INTERPRETER)" -m venv "$(@D)"
	"$(@D)/bin/pip" install --quiet --disable-pip-version-check -r .ci/requirements-python.txt \
	    $(if $(PROFILE),,-r .ci/requirements-checks.txt)
	"$(@D)/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps \
	    $(if $(PROFILE),--config-settings=build-args='--profile $(PROFILE)') ./python
	@touch "$@"

# Says where the server is, if the package has one for this machine.
$(VENV)/tried: .ci/requirements.txt
	@rm -rf "$(VENV)"
	python3 -m venv "$(VENV)"
	"$(VENV)/bin/pip" install --quiet --disable-pip-version-check --no-deps -r .ci/requirements.txt ||\
	    echo 'make: the package could not be had: a server on the PATH will do' >&2
	@find "$(VENV)/lib" -name valkey-server -type f > "$@"
	@test -s "$@" || command -v valkey-server || command -v redis-server > /dev/null

.PHONY: model
model: ## Model checks: shuttle tries GECASO_SCHEDULES interleavings; loom, all memory orders
	RUSTFLAGS='--cfg shuttle' $(RAN) model $(CARGO) test --target-dir "$(TARGET)/shuttle" \
	    -p gecaso --features testing --lib --release shuttle
	RUSTFLAGS='--cfg gecaso_loom' $(RAN) loom $(CARGO) test --target-dir "$(TARGET)/loom" \
	    -p gecaso --no-default-features --lib --release loom

.PHONY: bench
bench: ## gecaso beside its rivals, in one run; ARGS='--quick --only hit'
	$(CARGO) run --quiet --release -p gecaso-bench -- $(ARGS)

.PHONY: wheel
wheel: ## The Python package for the default interpreter, as a wheel: target/wheels
	python3 -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$(TARGET)/wheels" ./python
	@ls "$(TARGET)/wheels"

.PHONY: lint
lint: $(VENV)-lint/done ## Format, clippy, ruff and the number of dependencies, all as in CI
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features gecaso/testing --quiet -- -D warnings
	@for features in '' macros far 'macros far tokio'; do \
	    echo "clippy with the features '$$features'"; \
	    $(CARGO) clippy -p gecaso --lib --no-default-features --features "$$features" --quiet \
	        -- -D warnings; \
	done
	@bash .ci/dependencies
	"$(VENV)-lint/bin/ruff" check --quiet python
	"$(VENV)-lint/bin/ruff" format --check --quiet python

$(VENV)-lint/done: .ci/requirements-lint.txt
	python3 -m venv "$(VENV)-lint"
	"$(VENV)-lint/bin/pip" install --quiet --disable-pip-version-check -r .ci/requirements-lint.txt
	@touch "$@"

.PHONY: fmt
fmt: $(VENV)-lint/done ## Format everything
	$(CARGO) fmt --all
	"$(VENV)-lint/bin/ruff" format --quiet python

.PHONY: docs
docs: ## The documentation, warnings denied: target/doc/gecaso
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps -p gecaso -p gecaso-macros \
	    --features gecaso/testing

# Coverage for libFuzzer by stable flags of rustc: no nightly, and nothing to install.
FUZZ_RUNS ?= 200000
FUZZ      := envelope key msgpack
COVERAGE  := --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)

.PHONY: fuzz
fuzz: ## Hostile bytes for every reader, FUZZ_RUNS times each: envelopes, keys, values (needs g++)
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	RUSTFLAGS='$(COVERAGE)' $(CARGO) build --quiet --release --manifest-path fuzz/Cargo.toml \
	    --target $$host --target-dir "$(TARGET)/fuzz"; \
	for target in $(FUZZ); do \
	    found="$(TARGET)/fuzz/$$target"; mkdir -p "$$found"; \
	    "$(TARGET)/fuzz/$$host/release/$$target" -runs=$(FUZZ_RUNS) -max_len=4096 -timeout=10 \
	        -rss_limit_mb=512 -artifact_prefix="$$found-" "$$found" fixtures/envelopes/v1 \
	        > "$$found.log" 2>&1 || { tail -n 40 "$$found.log"; exit 1; }; \
	    echo "fuzz $$target: $$(grep -o 'Done [0-9]* runs in [0-9]* second' "$$found.log")s"; \
	done

# The compiler that is installed has the sanitizer in it; the variable lets it be asked for.
SANITIZED := raw:: torn shared_and_dropped linearizable churn walks foreign_code panicking_types

.PHONY: asan
asan: ## What reads entries without a lock, under AddressSanitizer: use after free, leaks
	host=$$(rustc -vV | sed -n 's/^host: //p'); \
	export LSAN_OPTIONS='suppressions=$(abspath .ci/leaks)'; \
	RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address' $(RAN) asan $(CARGO) test --target $$host \
	    --target-dir "$(TARGET)/asan" -p gecaso --features testing --lib --test it -- $(SANITIZED)

.PHONY: mutants
mutants: $(MUTANTS) ## Break every line of the core in turn; each break must fail a test
	$(MUTANTS) mutants --package gecaso --output "$(TARGET)/mutants"

$(MUTANTS):
	$(CARGO) install --root "$(TOOLS)" --locked cargo-mutants

.PHONY: soak
soak: ## Hours, not minutes: mutants, 2 M schedules, long stress, ten minutes of churn
	$(MAKE) test-python
	GECASO_SCHEDULES=2000000 $(MAKE) model
	GECASO_STRESS=100 $(RAN) stress $(CARGO) test --release -p gecaso --test it
	GECASO_CALLS=1000000 GECASO_HISTORIES=1000000 $(RAN) storm \
	    $(CARGO) test --release -p gecaso --features testing --test it -- far_storm linearizable
	GECASO_HISTORIES=20000000 $(RAN) histories \
	    $(CARGO) test --release -p gecaso --test it -- linearizable --skip far_
	GECASO_STRESS=20 $(MAKE) asan
	GECASO_CHURN=600 $(RAN) churn $(CARGO) test --release -p gecaso --test it -- churn
	GECASO_VALKEY_SERVER="$$(cat "$(VENV)/tried")" $(RAN) python-soak \
	    "$$(dirname "$$(ls "$(PYTHONS)"/*/bin/mypy | head -n 1)")/pytest" python/tests --soak
	$(MAKE) fuzz FUZZ_RUNS=10000000
	$(MAKE) mutants

.PHONY: deny
deny: ## Licences and sources of what we depend on (installs cargo-deny into .tools)
	@test -x "$(TOOLS)/bin/cargo-deny" || $(CARGO) install --root "$(TOOLS)" --locked cargo-deny
	"$(TOOLS)/bin/cargo-deny" check licenses bans sources

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target .tools
