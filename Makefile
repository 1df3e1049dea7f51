# make run and make test are all that a newcomer needs; make help lists the rest.

CARGO   ?= cargo
PYTHON  ?= python3
TARGET  := wasm32-wasip2
RELEASE := target/release
CLIENTS := tests/clients
WASM    := target/$(TARGET)/component

.DEFAULT_GOAL := help
.PHONY: help run test bench build component host fixtures clients lint deny target clean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: build ## Build all, and serve on http://127.0.0.1:8000
	$(RELEASE)/user-auth serve

test: build fixtures clients ## Build all, install the clients that the tests call, and run every test
	$(CARGO) test --release --workspace --locked

bench: build ## Measure; prints a table
	$(RELEASE)/user-auth-bench

build: component host ## Build the component and the program

component: target
	$(CARGO) build --locked -p user-auth-guest --target $(TARGET) --profile component
	@mkdir -p $(RELEASE)
	@cmp -s $(WASM)/user_auth_guest.wasm $(RELEASE)/user-auth.wasm || cp $(WASM)/user_auth_guest.wasm $(RELEASE)/user-auth.wasm

# Always the whole workspace: another selection means other features, and so
# another build of everything.
host:
	$(CARGO) build --locked --release --workspace

# In a folder of their own: the component with fixtures has the file name of the
# one without, and each would make cargo build the other anew.
fixtures: target
	$(CARGO) build --locked -p user-auth-guest --target $(TARGET) --profile component --features conformance --target-dir target/fixtures
	$(CARGO) build --locked -p user-auth-hostile --target $(TARGET) --profile component --target-dir target/fixtures
	@mkdir -p $(RELEASE)
	@cp target/fixtures/$(TARGET)/component/user_auth_guest.wasm $(RELEASE)/user-auth-conformance.wasm
	@cp target/fixtures/$(TARGET)/component/user_auth_hostile.wasm $(RELEASE)/user-auth-hostile.wasm

clients: $(CLIENTS)/node_modules/.installed $(CLIENTS)/.venv/.installed

$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(CLIENTS)/.venv/.installed: $(CLIENTS)/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)/.venv
	$(CLIENTS)/.venv/bin/pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	@touch $@

lint: target ## Check formatting and lints, natively and for wasm
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest -p user-auth-hostile --target $(TARGET) --profile component -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest --target $(TARGET) --profile component --features conformance -- -D warnings

deny: target/tools/bin/cargo-deny ## Check the licences and sources of all dependencies
	target/tools/bin/cargo-deny --locked check licenses bans sources

target/tools/bin/cargo-deny:
	$(CARGO) install cargo-deny --locked --version 0.20.2 --root target/tools

# rustup says so when the target is there already, and does nothing.
target:
	@rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || rustup target add $(TARGET)

clean: ## Delete all that was built or installed
	rm -rf target $(CLIENTS)/node_modules $(CLIENTS)/.venv
