# Newcomers need only `make run` and `make test`; `make help` lists the rest.

CARGO   ?= cargo
PYTHON  ?= python3
TARGET  := wasm32-wasip2
RELEASE := target/release
DIST    := target/dist
# The folder to install into; DESTDIR comes before it, for packages. Not every shell expands
# `~` in an argument.
PREFIX  ?= /usr/local
prefix   = $(patsubst ~/%,$(HOME)/%,$(PREFIX))
CLIENTS := tests/clients
EXAMPLES := guest/examples
NGINX   := target/tools/nginx
APACHE  := target/tools/apache
# Apache, its modules for tokens and for signing in, and the libraries of all of them.
apache_packages := apache2-bin libapache2-mod-auth-openidc libapache2-mod-oauth2 liboauth2-0 \
	liboauth2-apache0 libapr1 libaprutil1 libcjose0 libhashkit2 libhiredis0.14 libjansson4 \
	libmemcached11
apache_modules := oauth2 auth_openidc
SOAK_SECONDS ?= 600
SCALE_USERS  ?= 1000000
WASM    := target/$(TARGET)/component
# The package that `make run` compiles besides the component. Its Cargo.toml also names the
# features that the tests need, so that they do not compile everything again.
PROGRAM := -p user-auth-host
# Writes name, version, description and licence into a component.
STAMP   ?= $(CARGO) run --quiet --locked --release -p user-auth-stamp --

# Builds are reproducible, so file names in a component do not contain the folder of its
# dependencies. By default the linker pads each reference to the longest form;
# compressing them saves a 14th of the size. Copying only small functions into their callers
# saves a 12th: most of them are called once in a request, or never. Larger values are copied
# by one instruction each.
CARGO_HOME ?= $(HOME)/.cargo
SMALL      := -Clink-arg=--compress-relocations -Cllvm-args=-inline-threshold=50 -Cllvm-args=-max-store-memcpy=4
CARGO_WASM  = RUSTFLAGS="$(SMALL) $$(printf -- '--remap-path-prefix=%s= ' $(CARGO_HOME)/registry/src/*)" $(CARGO)

# Names a step; the second argument says how long it takes as long as the first is missing.
step = @echo "== $(1)$(if $(wildcard $(2)),,; the first time this takes $(3))"

# The version of the contract, read from its package.
CONTRACT = $(shell sed -n 's/^package user-auth:plugin@\(.*\);$$/\1/p' wit/world.wit)

SIGN_IN      := host/examples/sign-in
FUZZ         := tests/fuzz
FUZZ_TARGETS := client_assertion client_authentication client_document client_metadata form jwt_header message token password_hash import_line uri
FUZZ_SECONDS ?= 600
FUZZ_HOST     = $(shell rustc --print host-tuple)
# The instrumentation for libFuzzer, in options of the stable compiler.
FUZZ_FLAGS   := --cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
	-Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares

.DEFAULT_GOAL := help
.PHONY: help run test bench soak scale hostile profile build component host everything install dist schemas docs variants checksums freeze fixtures clients postgres faketime chromium nginx apache openssl rmcp sources lint deny fuzz fuzz-build fuzz-corpus target clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: build ## Build the component and the program, and serve on http://127.0.0.1:8000
	$(RELEASE)/user-auth serve

test: build checksums fixtures clients postgres faketime chromium nginx apache openssl rmcp ## Build everything, install what the tests need, and run all tests
	$(call step,Building and running the tests,$(RELEASE)/user-auth-bench,5 to 15 minutes)
	$(CARGO) test --release --workspace --locked

bench: build everything variants postgres ## Run the benchmarks and print a table
	$(RELEASE)/user-auth-bench

soak: build everything ## Run a mixed load for SOAK_SECONDS (600) and plot memory and latency in host/docs/soak.svg
	$(RELEASE)/user-auth-bench soak $(SOAK_SECONDS) host/docs/soak.svg

scale: build everything postgres ## Load SCALE_USERS (1000000) users and sessions into each store and measure calls
	$(RELEASE)/user-auth-bench scale $(SCALE_USERS)

hostile: build everything fixtures ## Measure how long other callers wait while a component misbehaves
	$(RELEASE)/user-auth-bench hostile

profile: build everything ## Show which layers take the processor time of a call (Linux, with perf)
	CARGO_PROFILE_COMPONENT_STRIP=debuginfo $(CARGO_WASM) build --locked -p user-auth-guest --target $(TARGET) --profile component --target-dir target/profile
	@$(STAMP) target/profile/$(TARGET)/component/user_auth_guest.wasm $(RELEASE)/user-auth-names.wasm
	$(RELEASE)/user-auth-bench profile

# Both at once: the end of each build keeps only one processor busy.
build: ## Build the component and the program
	@$(MAKE) --no-print-directory --jobs=2 component host

component: target sources
	$(call step,Building the component,$(WASM)/user_auth_guest.wasm,1 to 3 minutes)
	$(CARGO_WASM) build --locked -p user-auth-guest --target $(TARGET) --profile component
	@mkdir -p $(RELEASE)
	@$(STAMP) $(WASM)/user_auth_guest.wasm $(RELEASE)/user-auth.wasm

host:
	$(call step,Building the program,$(RELEASE)/user-auth,5 to 15 minutes)
	$(CARGO) build --locked --release $(PROGRAM)

# Builds the benchmark and all other programs that the tests run, too.
everything:
	$(CARGO) build --locked --release --workspace

# The component is installed beside the program, which looks for it there. Names the program
# without a path in the completion scripts, so that shells find it through PATH.
define install_into
@set -e; umask 022; PATH="$(abspath $(RELEASE)):$$PATH"; into="$(1)"; share="$$into/share"; \
	install -d "$$into/bin" "$$share/man/man1" "$$share/bash-completion/completions" \
		"$$share/zsh/site-functions" "$$share/fish/vendor_completions.d"; \
	install -m 755 "$(RELEASE)/user-auth" "$$into/bin/"; \
	install -m 644 "$(RELEASE)/user-auth.wasm" "$$into/bin/"; \
	user-auth man "$$share/man/man1"; \
	user-auth completions bash > "$$share/bash-completion/completions/user-auth"; \
	user-auth completions zsh > "$$share/zsh/site-functions/_user-auth"; \
	user-auth completions fish > "$$share/fish/vendor_completions.d/user-auth.fish"
endef

install: build ## Install the program, the component, completions and manual pages into PREFIX (/usr/local)
	$(call install_into,$(DESTDIR)$(prefix))
	@echo "== Installed $(DESTDIR)$(prefix)/bin/user-auth"

# The name of the archive, and the time of its files, which makes its bytes reproducible.
ARCHIVE    = user-auth-$(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)-$(shell rustc --print host-tuple)
CHANGED_AT = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)

dist: build ## Write an archive with all that `make install` installs, and its SHA-256, into target/dist
	@rm -rf "$(DIST)/$(ARCHIVE)"
	$(call install_into,$(DIST)/$(ARCHIVE))
	@install -m 644 README.md LICENSE "$(DIST)/$(ARCHIVE)/"
	@cd "$(DIST)" && tar --sort=name --mtime=@$(CHANGED_AT) --owner=0 --group=0 --numeric-owner \
		-I 'gzip -n' -cf $(ARCHIVE).tar.gz $(ARCHIVE)
	@rm -r "$(DIST)/$(ARCHIVE)"
	@cd "$(DIST)" && sha256sum $(ARCHIVE).tar.gz > SHA256SUMS
	@echo "== Wrote $(DIST)/$(ARCHIVE).tar.gz and $(DIST)/SHA256SUMS"

# The fixtures have a target folder of their own: the component with fixtures has the same
# file name as the one without, so in one folder cargo would rebuild both each time.
fixtures: target sources
	$(call step,Building components that only tests use,$(RELEASE)/user-auth-intruder.wasm,1 to 3 minutes)
	$(CARGO_WASM) build --locked -p user-auth-guest --target $(TARGET) --profile component --features conformance --target-dir target/fixtures
	$(CARGO_WASM) build --locked -p user-auth-hostile --target $(TARGET) --profile component --target-dir target/fixtures
	@mkdir -p $(RELEASE)
	@cp target/fixtures/$(TARGET)/component/user_auth_guest.wasm $(RELEASE)/user-auth-conformance.wasm
	@cp target/fixtures/$(TARGET)/component/user_auth_hostile.wasm $(RELEASE)/user-auth-hostile.wasm
	$(CARGO) build --locked -p user-auth-hostile --target $(TARGET) --profile component --features ways-out --target-dir target/fixtures
	@cp target/fixtures/$(TARGET)/component/user_auth_hostile.wasm $(RELEASE)/user-auth-intruder.wasm

schemas: ## Regenerate the JSON Schemas of the operations
	WRITE_SCHEMAS=1 $(CARGO) test --locked --release --workspace --lib schemas_jsonl_matches_the_types

docs: build ## Regenerate the tables of operations and configuration keys in the documents
	WRITE_DOCS=1 $(CARGO) test --locked --release --workspace --test all docs::tables

# Builds for hosts without user-auth's own imports, each with its features: ports, store, exports.
VARIANTS := self-contained edge keyvalue edge-keyvalue
features_self-contained := ports-builtin,store-memory
features_keyvalue       := ports-builtin,store-keyvalue
features_edge           := ports-builtin,export-http
features_edge-keyvalue  := ports-builtin,store-keyvalue,export-http

variants: $(VARIANTS:%=variant-%) ## Build the components for hosts without user-auth's own imports

variant-%: target sources
	$(call step,Building the component for other hosts ($*),$(RELEASE)/user-auth-$*.wasm,1 minute)
	$(CARGO_WASM) build --locked -p user-auth-guest --target $(TARGET) --profile component --features $(features_$*) --target-dir target/variants
	@mkdir -p $(RELEASE)
	@$(STAMP) target/variants/$(TARGET)/component/user_auth_guest.wasm $(RELEASE)/user-auth-$*.wasm

checksums: component variants ## Write the SHA-256 of each component into target/release/SHA256SUMS
	cd $(RELEASE) && sha256sum user-auth.wasm $(VARIANTS:%=user-auth-%.wasm) > SHA256SUMS

freeze: ## Save the current wit/ as the released text of its version
	@mkdir -p wit/frozen
	@awk 'FNR == 1 && NR > 1 { print "" } 1' wit/world.wit $(filter-out wit/world.wit,$(sort $(wildcard wit/*.wit))) > wit/frozen/$(CONTRACT).wit
	@echo wit/frozen/$(CONTRACT).wit

# The clients of version 1 of the Python SDK have an environment of their own, and so does
# the generator of clients from OpenAPI.
clients: $(CLIENTS)/node_modules/.installed $(CLIENTS)/.venv/.installed $(CLIENTS)/python1/.venv/.installed $(CLIENTS)/openapi/.venv/.installed \
	$(EXAMPLES)/javascript/node_modules/.installed $(EXAMPLES)/python/.venv/.installed

$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Not `npm ci`, which fails if a registry lacks packages for other platforms.
$(EXAMPLES)/javascript/node_modules/.installed: $(EXAMPLES)/javascript/package-lock.json
	cd $(EXAMPLES)/javascript && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

%/.venv/.installed: %/requirements.txt
	$(PYTHON) -m venv $*/.venv
	$*/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Installs PostgreSQL; the tests start servers of their own. The setting keeps
# Debian's package from creating and starting a system-wide server.
postgres:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
			echo "PostgreSQL is missing: install version 13 or later (on Debian and Ubuntu the package postgresql)" >&2; \
			exit 1; \
		fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update && apt-get install -y --no-install-recommends postgresql-common && \
		sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf && \
		apt-get install -y --no-install-recommends postgresql; \
	}

# Installs libfaketime, with which the tests set clocks.
faketime:
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib*/faketime/libfaketimeMT.so.1 2>/dev/null | grep -q . || { \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
			echo "libfaketime is missing: install it (on Debian and Ubuntu the package libfaketime)" >&2; \
			exit 1; \
		fi; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libfaketime; \
	}

# Installs Chromium and its driver, which a test uses.
chromium:
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || { \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
			echo "Chromium is missing: install it with its driver (on Debian the packages chromium and chromium-driver)" >&2; \
			exit 1; \
		fi; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium chromium-driver; \
	}

# Unpacks only the program, since Debian's package would start a system-wide server.
nginx:
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || $(NGINX)/usr/sbin/nginx -v 2>/dev/null || { \
		if ! command -v apt-get >/dev/null; then \
			echo "nginx is missing: install it (on Debian and Ubuntu the package nginx)" >&2; \
			exit 1; \
		fi; \
		rm -rf $(NGINX) && mkdir -p $(NGINX) && cd $(NGINX) && \
		{ apt-get download -qq nginx || { apt-get update && apt-get download -qq nginx; }; } && \
		dpkg-deb -x nginx_*.deb . && usr/sbin/nginx -v; \
	}

# Unpacks only the files, since Debian's package would start a system-wide server.
apache:
	@ls /usr/sbin/apache2 $(apache_modules:%=/usr/lib/apache2/modules/mod_%.so) >/dev/null 2>&1 || \
	ls $(apache_modules:%=$(APACHE)/usr/lib/apache2/modules/mod_%.so) $(APACHE)/complete >/dev/null 2>&1 || { \
		if ! command -v apt-get >/dev/null; then \
			echo "Apache with mod_oauth2 and mod_auth_openidc is missing: install them (on Debian and Ubuntu the packages libapache2-mod-oauth2 and libapache2-mod-auth-openidc)" >&2; \
			exit 1; \
		fi; \
		rm -rf $(APACHE) && mkdir -p $(APACHE) && cd $(APACHE) && \
		{ apt-get download -qq $(apache_packages) || { apt-get update && apt-get download -qq $(apache_packages); }; } && \
		for package in *.deb; do dpkg-deb -x $$package . || exit 1; done && touch complete; \
	}

# Installs openssl, which signs and verifies releases.
openssl:
	@command -v openssl >/dev/null || { \
		if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
			echo "openssl is missing: install it (on Debian and Ubuntu the package openssl)" >&2; \
			exit 1; \
		fi; \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openssl; \
	}

# The example and the client with rmcp, which are not members of the workspace.
rmcp:
	$(call step,Building the example and the client with rmcp,target/sign-in/debug/rmcp-sign-in,1 minute)
	$(CARGO) build --locked --manifest-path $(SIGN_IN)/Cargo.toml --target-dir target/sign-in
	$(CARGO) build --locked --manifest-path $(CLIENTS)/rmcp/Cargo.toml --target-dir target/sign-in

# Checking the fuzz targets needs no libFuzzer, which would be compiled without the path.
lint: target ## Check formatting and lints, natively and for wasm
	$(CARGO) fmt --all --check
	CUSTOM_LIBFUZZER_PATH=$(CURDIR)/libFuzzer.a $(CARGO) check --locked --manifest-path $(FUZZ)/Cargo.toml --target-dir target/fuzz
	$(CARGO) clippy --locked --release --workspace --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path $(SIGN_IN)/Cargo.toml
	$(CARGO) clippy --locked --manifest-path $(SIGN_IN)/Cargo.toml --target-dir target/sign-in -- -D warnings
	$(CARGO) fmt --check --manifest-path $(CLIENTS)/rmcp/Cargo.toml
	$(CARGO) clippy --locked --manifest-path $(CLIENTS)/rmcp/Cargo.toml --target-dir target/sign-in -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest -p user-auth-hostile --target $(TARGET) --profile component -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest --target $(TARGET) --profile component --features conformance -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest --target $(TARGET) --profile component --features $(features_self-contained) -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest --target $(TARGET) --profile component --features $(features_edge) -- -D warnings
	$(CARGO) clippy --locked -p user-auth-guest --target $(TARGET) --profile component --features $(features_edge-keyvalue) -- -D warnings

deny: target/tools/bin/cargo-deny ## Check the licences and sources of all dependencies
	target/tools/bin/cargo-deny --locked check licenses bans sources

target/tools/bin/cargo-deny:
	$(CARGO) install cargo-deny --locked --version 0.20.2 --root target/tools

fuzz: fuzz-build ## Fuzz each target for FUZZ_SECONDS (600); a crash prints the file that caused it
	@set -e; for name in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$name target/fuzz/crashes/$$name; \
		echo "== $$name"; \
		target/fuzz/$(FUZZ_HOST)/release/$$name target/fuzz/corpus/$$name $(FUZZ)/corpus/$$name \
			-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -print_final_stats=1 \
			-artifact_prefix=target/fuzz/crashes/$$name/; \
	done

# Names the target so that the flags do not apply to build scripts and macros.
fuzz-build:
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --locked --manifest-path $(FUZZ)/Cargo.toml \
		--target $(FUZZ_HOST) --target-dir target/fuzz

# Reduces the corpus to the inputs that reach code that no other input reaches.
fuzz-corpus: fuzz-build
	@set -e; for name in $(FUZZ_TARGETS); do \
		rm -rf target/fuzz/kept; mkdir -p target/fuzz/kept target/fuzz/corpus/$$name; \
		target/fuzz/$(FUZZ_HOST)/release/$$name -merge=1 -max_len=4096 \
			target/fuzz/kept $(FUZZ)/corpus/$$name target/fuzz/corpus/$$name; \
		rm -rf $(FUZZ)/corpus/$$name; mv target/fuzz/kept $(FUZZ)/corpus/$$name; \
	done

# Installs the target unless it is installed already.
target:
	@rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || rustup target add $(TARGET)

# Before the first build the registry folder does not exist, so it could not be remapped.
sources:
	@ls -d $(CARGO_HOME)/registry/src/* >/dev/null 2>&1 || $(CARGO) fetch --locked

clean: ## Delete everything that was built or installed
	rm -rf target $(CLIENTS)/node_modules $(CLIENTS)/.venv $(CLIENTS)/python1/.venv $(CLIENTS)/openapi/.venv $(EXAMPLES)/javascript/node_modules $(EXAMPLES)/python/.venv
