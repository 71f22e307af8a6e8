# The verbs of the earlier engines' package scripts, spelled as there: `make test:e2e` is what `npm run test:e2e` was.
API_BASE ?= http://127.0.0.1:3000
DIALECT ?= 002
WATCHED := src tests examples
.PHONY: dev start demo-client test-client test-compat postman config db-init
.PHONY: start\:api api\:dev api\:build worker db\:init docker\:up docker\:down docker\:logs test\:watch test\:coverage
.PHONY: test\:e2e test\:order test\:concurrent test\:ws

dev: $(VENV)/.runtime ## Serve with development settings: every origin, warnings
	@NODE_ENV=development $(BIN)/fillwright serve --log-level debug

start: run

demo-client: $(VENV)/.runtime ## Five orders against a running engine, as a client of DIALECT (000 to 004)
	@API_BASE=$(API_BASE) $(BIN)/python examples/demo_client.py --dialect $(DIALECT)

test-client: demo-client

test-compat: $(VENV)/.dev ## The contract suites of the client dialects
	@$(BIN)/python -m pytest tests/api/compat

postman: ## The Postman collection against a running engine (needs npx)
	@npx --yes newman run examples/fillwright.postman_collection.json --env-var baseUrl=$(API_BASE)

config: $(VENV)/.runtime ## Every setting in effect, and where it came from
	@$(BIN)/fillwright config

worker: $(VENV)/.runtime ## One worker process, on DATABASE_URL and REDIS_URL
	@$(BIN)/fillwright worker

db-init: $(VENV)/.runtime ## Bring the schema of DATABASE_URL up to date
	@$(BIN)/fillwright db migrate

start\:api: $(VENV)/.runtime
	@$(BIN)/fillwright api

api\:dev: dev

api\:build: build

db\:init: db-init

docker\:up:
	@docker compose up --build --detach

docker\:down:
	@docker compose down

docker\:logs:
	@docker compose logs --follow

test\:e2e: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/system tests/api/compat

test\:order: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/api/compat -k "not mixed and not page"

test\:concurrent: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/api/compat/test_mixed.py tests/api/compat/test_004.py

test\:ws: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/api/compat -k "socket or message or stream or closes"

test\:coverage: $(VENV)/.dev
	@$(BIN)/python -c 'import coverage' 2>/dev/null || $(PIP) coverage
	@$(BIN)/python -m coverage run --source src -m pytest tests -p no:xdist
	@$(BIN)/python -m coverage report --skip-covered

test\:watch: $(VENV)/.dev
	@echo "again on every change; Ctrl-C ends it"; while true; do \
		touch $(VENV)/.watched; $(BIN)/python -m pytest -n $(JOBS) --ff -x; \
		until find $(WATCHED) -name '*.py' -newer $(VENV)/.watched | grep -q .; do sleep 1; done; \
	done
