# The verbs of the earlier engines' package scripts.
API_BASE ?= http://127.0.0.1:3000
DIALECT ?= 002
.PHONY: dev start demo-client test-compat postman config

dev: $(VENV)/.runtime ## Serve with development settings: every origin, warnings
	@NODE_ENV=development $(BIN)/fillwright serve --log-level debug

start: run

demo-client: $(VENV)/.runtime ## Five orders against a running engine, as a client of DIALECT (000 to 004)
	@API_BASE=$(API_BASE) $(BIN)/python examples/demo_client.py --dialect $(DIALECT)

test-compat: $(VENV)/.dev ## The contract suites of the client dialects
	@$(BIN)/python -m pytest tests/api/compat

postman: ## The Postman collection against a running engine (needs npx)
	@npx --yes newman run examples/fillwright.postman_collection.json --env-var baseUrl=$(API_BASE)

config: $(VENV)/.runtime ## Every setting in effect, and where it came from
	@$(BIN)/fillwright config
